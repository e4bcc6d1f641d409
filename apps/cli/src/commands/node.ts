import { AppError } from '@punica/schema'
import type { Command } from 'commander'
import { toSeconds } from '../arguments.ts'
import {
  type ControlOptions,
  example,
  openControlPlane,
  withConnection,
  withJson,
} from '../connection.ts'
import type { ControlPlane } from '../control-plane/connect.ts'
import { readPages } from '../control-plane/read-pages.ts'
import { openSubscriptions } from '../control-plane/subscribe.ts'
import {
  ClusterStateDocument,
  CordonNodeDocument,
  DrainNodeDocument,
  type NodeFieldsFragment as Node,
  NodesDocument,
  UncordonNodeDocument,
} from '../generated/graphql.ts'
import { formatCount, formatShare, plural } from '../terminal/format.ts'
import { type Io, perform } from '../terminal/io.ts'
import { type Column, drawTable } from '../terminal/table.ts'

/** `punica node`: the GPUs. */
export const addNodeCommands = (program: Command): void => {
  const node = program.command('node').description('GPUs with their engines; for operators')
  withJson(withConnection(node.command('list')))
    .description('nodes, with their state and their load')
    .option('--pool <pool>', 'of one pool')
    .addHelpText('after', example('punica node list'))
    .action(listNodes)
  withJson(withConnection(node.command('cordon <id>')))
    .description('give a node nothing new; what it runs stays')
    .addHelpText('after', example('punica node cordon gpu-7'))
    .action(cordon)
  withJson(withConnection(node.command('drain <id>')))
    .description('give a node nothing new, and move what it runs to others')
    .option('--wait', 'until it runs nothing')
    .option('--timeout <time>', 'with --wait: give up after it', toSeconds, 600)
    .addHelpText('after', example('punica node drain gpu-7 --wait --timeout 5m'))
    .action(drain)
  withJson(withConnection(node.command('uncordon <id>')))
    .description('let a cordoned or drained node work again')
    .addHelpText('after', example('punica node uncordon gpu-7'))
    .action(uncordon)
}

const listNodes = (options: ControlOptions & { pool?: string }): Promise<void> =>
  perform(options, async (io) => {
    const { ask } = await openControlPlane(options, io)
    const pool = options.pool ?? null
    const nodes = await readPages(
      async (page) => (await ask(NodesDocument, { pool, ...page })).nodes,
    )
    if (nodes.length === 0) io.note('No node has reported yet.')
    io.print({ nodes }, () => drawTable(nodeColumns, nodes))
  })

const cordon = (id: string, options: ControlOptions): Promise<void> =>
  perform(options, async (io) => {
    const { change } = await openControlPlane(options, io)
    const { node } = await change(CordonNodeDocument, { input: { id } })
    io.print({ node }, () => `Cordoned ${id}; it still has ${plural(node.requests, 'request')}.`)
  })

const uncordon = (id: string, options: ControlOptions): Promise<void> =>
  perform(options, async (io) => {
    const { change } = await openControlPlane(options, io)
    const { node } = await change(UncordonNodeDocument, { input: { id } })
    io.print({ node }, () => `${id} works again.`)
  })

type DrainOptions = ControlOptions & { wait?: boolean; timeout: number }

const drain = (id: string, options: DrainOptions): Promise<void> =>
  perform(options, async (io) => {
    const controlPlane = await openControlPlane(options, io)
    const { node } = await controlPlane.change(DrainNodeDocument, { input: { id } })
    if (options.wait !== true) {
      const left = plural(node.requests, 'request')
      io.print({ node }, () => `Draining ${id}; it still has ${left}.`)
      return
    }
    await untilEmpty(controlPlane, node, options.timeout, io)
    io.print({ node: { ...node, requests: 0 } }, () => `Drained ${id}; it runs nothing.`)
  })

/** Follows the cluster until the node has no request. */
const untilEmpty = async (
  { url, authorization }: ControlPlane,
  { id, pool }: Node,
  timeoutSeconds: number,
  io: Io,
): Promise<void> => {
  const timeout = AbortSignal.timeout(timeoutSeconds * 1000)
  const signal = AbortSignal.any([io.signal, timeout])
  const subscriptions = openSubscriptions({ url, authorization, signal, maxRetries: 20 })
  let left = -1
  try {
    for await (const { clusterState } of subscriptions.subscribe(ClusterStateDocument, { pool })) {
      const requests = clusterState.nodes.find((node) => node.id === id)?.requests ?? 0
      if (requests === 0) return
      if (requests !== left) io.note(`${id} still has ${plural(requests, 'request')}.`)
      left = requests
    }
  } finally {
    subscriptions.close()
  }
  const message = `${id} still has ${plural(Math.max(left, 0), 'request')}; it stays drained, and they move as others have room`
  throw new AppError(timeout.aborted ? 'deadline_exceeded' : 'cancelled', message)
}

const stateOf = ({ state, scheduling, reason }: Node): string =>
  [
    state.toLowerCase(),
    ...(scheduling === 'OPEN' ? [] : [scheduling.toLowerCase()]),
    ...(reason === null ? [] : [reason]),
  ].join(', ')

const share = (part: number, whole: number): string => formatShare(whole === 0 ? 0 : part / whole)

/** How `punica node list` and `punica status` show a node. */
export const nodeColumns: Column<Node>[] = [
  { title: 'NODE', cell: ({ id }) => id },
  { title: 'POOL', cell: ({ pool }) => pool },
  { title: 'STATE', cell: stateOf },
  {
    title: 'REQUESTS',
    isNumber: true,
    cell: ({ requests, maxBatchSize }) => `${requests}/${maxBatchSize}`,
  },
  { title: 'KV', isNumber: true, cell: ({ kvPages, numPages }) => share(kvPages, numPages) },
  {
    title: 'ADAPTERS',
    isNumber: true,
    cell: ({ adapterPages, numPages }) => share(adapterPages, numPages),
  },
  {
    title: 'TOKENS/S',
    isNumber: true,
    cell: ({ tokensPerSecond }) => formatCount(tokensPerSecond),
  },
  { title: 'HARDWARE', cell: ({ description }) => description },
]
