import { channels, type NodeStatus } from '@punica/schema'
import type { Observer } from './observer.ts'
import type { Random } from './random.ts'

/** A request stays where it is until it has made so many tokens there: every move is on the way. */
const minTokens = 4
/** How likely a request that may move is told to, each time that its node reports. */
const evictChance = 0.5
/** One in so many reports is answered by a drain of the node instead. */
const drainChance = 0.01
const maxRemembered = 4_096

/**
 * Makes running requests leave their nodes, by the order that routers give, up to as many moves as
 * are allowed by then. Now and then a node is drained instead, and put back into use once it is empty.
 */
export const startMover = (observer: Observer, random: Random, allowedMoves: () => number) => {
  const { bus } = observer
  /** Tokens that a request had when it came to its node, by request and attempt. */
  const cameWith = new Map<string, number>()
  let draining: string | null = null
  let numDrains = 0

  const moveSome = ({ nodeId, epoch = 0, requests }: NodeStatus): void => {
    for (const { requestId, attempt, numTokens = 0 } of requests) {
      const key = `${requestId}:${attempt}`
      const before = cameWith.get(key)
      if (before === undefined) cameWith.set(key, numTokens)
      else if (numTokens - before >= minTokens && random.next() < evictChance) {
        const order = { type: 'evict' as const, epoch, requestId, attempt }
        bus.publish(channels.nodeCommand(nodeId), order)
        cameWith.set(key, numTokens)
      }
    }
    while (cameWith.size > maxRemembered) {
      const [oldest] = cameWith.keys()
      if (oldest !== undefined) cameWith.delete(oldest)
    }
  }

  const uncordon = (nodeId: string): void => {
    bus.publish(channels.admin('default'), { type: 'uncordon', nodeId })
    draining = null
  }

  const stop = observer.onStatus((status) => {
    const { nodeId, requests } = status
    if (draining === nodeId) {
      if (requests.length === 0) uncordon(nodeId)
      return
    }
    if (observer.numMoves() >= allowedMoves()) return
    if (draining === null && requests.length > 0 && random.next() < drainChance) {
      draining = nodeId
      numDrains++
      bus.publish(channels.admin('default'), { type: 'drain', nodeId })
    } else moveSome(status)
  })

  return {
    numDrains: () => numDrains,
    stop: () => {
      stop()
      if (draining !== null) uncordon(draining)
    },
  }
}
