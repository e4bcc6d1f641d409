import { AppError } from '@punica/schema'
import { z } from 'zod'
import type { QueryNodesArgs } from '../generated/graphql.ts'
import { type PageArgs, parseFirst } from '../server/connection.ts'
import type { NodeView } from './inventory.ts'

type Key = string | number
type Field = 'ID' | 'REQUESTS' | 'FREE_PAGES' | 'LAST_SEEN_AT'
type Order = { field: Field; direction?: 'ASC' | 'DESC' }

const keys: Record<Field, (node: NodeView) => Key> = {
  ID: ({ status }) => status.nodeId,
  REQUESTS: ({ status }) => status.requests.length,
  FREE_PAGES: ({ status }) => status.freePages,
  LAST_SEEN_AT: ({ lastSeenAt }) => lastSeenAt.getTime(),
}

/** The nodes that match, in the order that was asked for, as a connection. */
export const listNodes = (
  all: readonly NodeView[],
  { state, search, orderBy, ...page }: Omit<QueryNodesArgs, 'pool'>,
) => {
  const text = search?.toLowerCase() ?? ''
  const matching = all.filter(
    (node) =>
      (state === null || state === undefined || node.state === state) && matches(node, text),
  )
  return toPage(matching, page, orderBy ?? { field: 'ID' })
}

const matches = ({ status }: NodeView, text: string): boolean =>
  status.nodeId.includes(text) || status.hardware.description.toLowerCase().includes(text)

/** Nodes are in memory, so a page is cut out of the sorted list; cursors are as those of tables. */
const toPage = (nodes: readonly NodeView[], args: PageArgs, order: Order) => {
  const take = parseFirst(args)
  const keyOf = keys[order.field]
  const sign = order.direction === 'DESC' ? -1 : 1
  const compare = (a: readonly [Key, string], b: readonly [Key, string]): number =>
    sign * (compareKeys(a[0], b[0]) || compareKeys(a[1], b[1]))
  const positioned = nodes
    .map((node) => ({ node, position: [keyOf(node), node.status.nodeId] as const }))
    .sort((a, b) => compare(a.position, b.position))
  const after = parseCursor(order, args.after)
  const rest =
    after === null ? positioned : positioned.filter(({ position }) => compare(position, after) > 0)
  const edges = rest.slice(0, take).map(({ node, position }) => ({
    cursor: toCursor(order, position),
    node,
  }))
  return {
    edges,
    pageInfo: { hasNextPage: rest.length > take, endCursor: edges.at(-1)?.cursor ?? null },
    totalCount: nodes.length,
  }
}

const compareKeys = (a: Key, b: Key): number => (a < b ? -1 : a > b ? 1 : 0)

const toCursor = ({ field, direction = 'ASC' }: Order, position: readonly [Key, string]): string =>
  Buffer.from(JSON.stringify([field, direction, ...position])).toString('base64url')

const parseCursor = (
  { field, direction = 'ASC' }: Order,
  after: string | null | undefined,
): [Key, string] | null => {
  if (after === null || after === undefined) return null
  const Position = field === 'ID' ? z.string() : z.number()
  const Cursor = z.tuple([z.literal(field), z.literal(direction), Position, z.string()])
  try {
    const [, , key, id] = Cursor.parse(JSON.parse(Buffer.from(after, 'base64url').toString()))
    return [key, id]
  } catch (cause) {
    const message = 'after: is not a cursor of this list in this order'
    throw new AppError('invalid_request', message, { param: 'after', cause })
  }
}
