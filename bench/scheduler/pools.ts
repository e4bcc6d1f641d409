import type { Command } from '@punica/scheduler'
import type { Router } from './cluster.ts'

/**
 * A cluster divided into pools, each with a scheduler of its own, as a large one is run: a node
 * belongs to one pool, and requests go to the pools in turn.
 */
export const createPools = (numPools: number, createRouter: () => Router): Router => {
  const pools = Array.from({ length: numPools }, createRouter)
  const poolOfNode = new Map<string, number>()
  const poolOfRequest = new Map<string, number>()
  let numRequests = 0

  /** A request stays with its pool, through every attempt, until it has ended. */
  const findByRequest = (requestId: string): number => {
    const pool = poolOfRequest.get(requestId) ?? numRequests++ % numPools
    poolOfRequest.set(requestId, pool)
    return pool
  }

  const findByNode = (nodeId: string): number => {
    const pool = poolOfNode.get(nodeId) ?? poolOfNode.size % numPools
    poolOfNode.set(nodeId, pool)
    return pool
  }

  const forgetEnded = (commands: readonly Command[]): void => {
    for (const command of commands) {
      if (command.type === 'reject') poolOfRequest.delete(command.requestId)
    }
  }

  return {
    handle: (event) => {
      if (event.type === 'ended' && event.reason !== 'evicted') {
        poolOfRequest.delete(event.requestId)
      }
      const pool =
        event.type === 'submitted'
          ? findByRequest(event.task.requestId)
          : event.type === 'nodeReported'
            ? findByNode(event.status.nodeId)
            : 'nodeId' in event
              ? findByNode(event.nodeId)
              : null
      const commands =
        pool === null
          ? pools.flatMap((router) => router.handle(event))
          : (pools[pool]?.handle(event) ?? [])
      forgetEnded(commands)
      return commands
    },
  }
}
