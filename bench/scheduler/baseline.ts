import type { Command } from '@punica/scheduler'
import type { NodeStatus, Task } from '@punica/schema'
import type { Router } from './cluster.ts'

/** A node as a baseline sees it: its newest status, and what it was given since. */
export type Candidate = {
  readonly nodeId: string
  readonly index: number
  status: NodeStatus
  /** By attempt; the pages to count until a status names it, 0 afterwards. */
  readonly given: Map<string, { task: Task; numPages: number }>
  /** Given requests of each adapter, by digest. */
  readonly adapters: Map<string, number>
}

/** One node of those with room; never called with none. */
export type Choose = (task: Task, withRoom: readonly Candidate[]) => Candidate | undefined

/**
 * A router as most clusters have one: it never moves a request, queues first come first served, and
 * keeps the same limits as the scheduler does. What it chooses by is all that differs.
 */
export const createBaseline = (choose: Choose): Router => {
  const nodes = new Map<string, Candidate>()
  const queue: Task[] = []

  const admitWaiting = (): Command[] => {
    const commands: Command[] = []
    for (let task = queue[0]; task !== undefined; task = queue[0]) {
      const withRoom = findRoom(nodes.values(), task)
      const node = withRoom.length === 0 ? undefined : choose(task, withRoom)
      if (node === undefined) break
      queue.shift()
      give(node, task)
      commands.push({ type: 'assign', nodeId: node.nodeId, task })
    }
    return commands
  }

  /** In order of arrival, so that one that was evicted goes before those that came after it. */
  const enqueue = (task: Task): void => {
    let index = queue.length
    while (index > 0 && (queue[index - 1]?.arrivalMs ?? 0) > task.arrivalMs) index--
    queue.splice(index, 0, task)
  }

  const report = (status: NodeStatus): void => {
    const { nodeId } = status
    const known = nodes.get(nodeId)
    if (known === undefined) {
      const index = nodes.size
      nodes.set(nodeId, { nodeId, index, status, given: new Map(), adapters: new Map() })
      return
    }
    known.status = status
    for (const request of status.requests) {
      const given = known.given.get(keyOf(request))
      if (given !== undefined) given.numPages = 0
    }
  }

  return {
    handle: (event) => {
      if (event.type === 'submitted') enqueue(event.task)
      else if (event.type === 'nodeReported') report(event.status)
      else if (event.type === 'ended') {
        const node = nodes.get(event.nodeId)
        if (node !== undefined) takeBack(node, event)
      } else return []
      return admitWaiting()
    },
  }
}

const keyOf = ({ requestId, attempt }: { requestId: string; attempt: number }): string =>
  `${attempt}:${requestId}`

const findRoom = (nodes: Iterable<Candidate>, task: Task): Candidate[] => {
  const withRoom: Candidate[] = []
  for (const node of nodes) {
    if (node.given.size >= node.status.maxBatchSize) continue
    let freePages = node.status.freePages
    for (const { numPages } of node.given.values()) freePages -= numPages
    if (pagesFor(node, task) <= freePages) withRoom.push(node)
  }
  return withRoom
}

/** An adapter that no request uses counts in full, since idle ones are reported as free. */
const pagesFor = ({ status, adapters }: Candidate, { tokens, adapter }: Task): number => {
  const kvPages = Math.ceil((tokens.length + 1) / status.pageSize)
  if (adapter === null || adapters.has(adapter.digest)) return kvPages
  return kvPages + Math.ceil(adapter.sizeBytes / status.pageBytes)
}

const give = (node: Candidate, task: Task): void => {
  node.given.set(keyOf(task), { task, numPages: pagesFor(node, task) })
  const digest = task.adapter?.digest
  if (digest !== undefined) node.adapters.set(digest, (node.adapters.get(digest) ?? 0) + 1)
}

const takeBack = (node: Candidate, id: { requestId: string; attempt: number }): void => {
  const digest = node.given.get(keyOf(id))?.task.adapter?.digest
  node.given.delete(keyOf(id))
  if (digest === undefined) return
  const numLeft = (node.adapters.get(digest) ?? 1) - 1
  if (numLeft === 0) node.adapters.delete(digest)
  else node.adapters.set(digest, numLeft)
}
