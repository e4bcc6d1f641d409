import type { System } from './system.ts'
import { until } from './until.ts'

export type NodeView = {
  id: string
  state: string
  requests: number
  freePages: number
  generatedTokens: number
}

const listNodes = async ({ operator }: Pick<System, 'operator'>): Promise<NodeView[]> => {
  const { nodes } = await operator.graphql<{ nodes: { edges: { node: NodeView }[] } }>(
    '{ nodes { edges { node { id state requests freePages generatedTokens } } } }',
  )
  return nodes.edges.map(({ node }) => node)
}

/** Until some node runs something. */
export const untilBusy = (system: System): Promise<NodeView[]> =>
  untilNodes(system, 'a busy node', (nodes) => nodes.some(({ requests }) => requests > 0))

/** Until every node is ready and none runs anything. */
export const untilIdle = (system: System): Promise<NodeView[]> =>
  untilNodes(system, 'idle nodes', (nodes) =>
    nodes.every(({ state, requests }) => state === 'READY' && requests === 0),
  )

const untilNodes = (
  system: System,
  what: string,
  holds: (nodes: NodeView[]) => boolean,
): Promise<NodeView[]> =>
  until(what, async () => {
    const nodes = await listNodes(system)
    return holds(nodes) ? nodes : null
  })

/** Tokens made by all nodes from before `work` until every one is idle after it. */
export const countTokens = async (system: System, work: () => Promise<void>): Promise<number> => {
  const total = async (): Promise<number> =>
    (await untilIdle(system)).reduce((sum, { generatedTokens }) => sum + generatedTokens, 0)
  const before = await total()
  await work()
  return (await total()) - before
}
