import { AppError } from '@punica/schema'
import type { Command } from 'commander'
import { type ControlOptions, example, withConnection, withJson } from '../connection.ts'
import { type ControlPlane, connectControlPlane } from '../control-plane/connect.ts'
import { readPages } from '../control-plane/read-pages.ts'
import { openSubscriptions } from '../control-plane/subscribe.ts'
import {
  CatalogStateDocument,
  ClusterStateDocument,
  type ClusterStateSubscription,
  type NodeFieldsFragment as Node,
  NodesDocument,
  ViewerDocument,
} from '../generated/graphql.ts'
import { requireSetting, resolveSettings } from '../settings.ts'
import { formatCount, formatMs, plural } from '../terminal/format.ts'
import { type Io, perform } from '../terminal/io.ts'
import { type Column, drawTable } from '../terminal/table.ts'
import { nodeColumns } from './node.ts'

type Pool = ClusterStateSubscription['clusterState']['pools'][number]

/** `punica status`: the system at one glance, and an exit code for scripts. */
export const addStatusCommand = (program: Command): void => {
  withJson(withConnection(program.command('status')))
    .description('what runs, and whether it can serve: exit code 1 where it cannot')
    .option('--gateway <url>', 'of the gateway; by default PUNICA_GATEWAY_URL')
    .addHelpText('after', example('punica status --json | jq .gateway.ready'))
    .action(status)
}

type Status = {
  controlPlane: { url: string; role: string; tenant: string | null }
  gateway: { url: string; ready: boolean } | null
  catalog: { version: number; pending: number } | null
  pools: Pool[]
  nodes: Node[]
}

const status = (options: ControlOptions): Promise<void> =>
  perform(options, async (io) => {
    const settings = await resolveSettings(options)
    const controlPlane = connectControlPlane({
      url: requireSetting(settings, 'controlPlaneUrl'),
      key: requireSetting(settings, 'key'),
      signal: io.signal,
    })
    const { viewer } = await controlPlane.ask(ViewerDocument, {})
    const document: Status = {
      controlPlane: {
        url: controlPlane.url,
        role: viewer.role,
        tenant: viewer.tenant?.slug ?? null,
      },
      gateway: settings.gatewayUrl === null ? null : await askGateway(settings.gatewayUrl, io),
      ...(viewer.role === 'OPERATOR'
        ? await readCluster(controlPlane, io)
        : { catalog: null, pools: [], nodes: [] }),
    }
    io.print(document, (read) => describe(read, io))
    if (!canServe(document)) process.exitCode = 1
  })

const canServe = ({ gateway, pools, controlPlane }: Status): boolean =>
  gateway?.ready !== false &&
  (controlPlane.role !== 'OPERATOR' || pools.some(({ readyNodes }) => readyNodes > 0))

const askGateway = async (
  url: string,
  { signal }: Io,
): Promise<{ url: string; ready: boolean }> => {
  const response = await fetch(`${url}/ready`, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]),
  }).catch(() => null)
  return { url, ready: response?.ok === true }
}

const readCluster = async (
  controlPlane: ControlPlane,
  io: Io,
): Promise<Pick<Status, 'catalog' | 'pools' | 'nodes'>> => {
  const { ask } = controlPlane
  const [{ catalog }, nodes, pools] = await Promise.all([
    ask(CatalogStateDocument, {}),
    readPages(async (page) => (await ask(NodesDocument, { pool: null, ...page })).nodes),
    readPools(controlPlane, io),
  ])
  return { catalog, nodes, pools }
}

/** The first picture that the subscription sends, which comes at once. */
const readPools = async ({ url, authorization }: ControlPlane, io: Io): Promise<Pool[]> => {
  const signal = AbortSignal.any([io.signal, AbortSignal.timeout(10_000)])
  const subscriptions = openSubscriptions({ url, authorization, signal, maxRetries: 0 })
  try {
    const states = subscriptions.subscribe(ClusterStateDocument, { pool: null })
    for await (const { clusterState } of states) return clusterState.pools
  } finally {
    subscriptions.close()
  }
  throw new AppError('unavailable', `The control plane at ${url} sends no state of the cluster`)
}

const describe = ({ controlPlane, gateway, catalog, pools, nodes }: Status, io: Io): string => {
  const { paint } = io
  const who = controlPlane.tenant ?? controlPlane.role.toLowerCase()
  const ready = gateway?.ready === true ? paint('green', 'ready') : paint('red', 'not ready')
  const pending =
    catalog === null || catalog.pending === 0 ? 'up to date' : `${catalog.pending} changes behind`
  return [
    `Control plane  ${controlPlane.url}, as ${who}`,
    ...(gateway === null ? [] : [`Gateway        ${gateway.url}, ${ready}`]),
    ...(catalog === null ? [] : [`Catalog        ${pending}`]),
    ...(pools.length === 0 ? [] : ['', drawTable(poolColumns, pools)]),
    ...pools.flatMap(({ scaleHint, name }) =>
      scaleHint === null
        ? []
        : [`${name} should have ${plural(scaleHint.wantedNodes, 'node')}: ${scaleHint.reason}`],
    ),
    ...(nodes.length === 0 ? [] : ['', drawTable(nodeColumns, nodes)]),
  ].join('\n')
}

const poolColumns: Column<Pool>[] = [
  { title: 'POOL', cell: ({ name }) => name },
  {
    title: 'GPUS BUSY',
    isNumber: true,
    cell: ({ activeNodes, readyNodes }) => `${activeNodes}/${readyNodes}`,
  },
  { title: 'RUNNING', isNumber: true, cell: (pool) => formatCount(pool.runningRequests) },
  {
    title: 'QUEUED',
    isNumber: true,
    cell: (pool) => (pool.queuedRequests === null ? '–' : formatCount(pool.queuedRequests)),
  },
  { title: 'TOKENS/S', isNumber: true, cell: (pool) => formatCount(pool.tokensPerSecond) },
  { title: 'TTFT P99', isNumber: true, cell: (pool) => formatMs(pool.timeToFirstTokenMs?.p99) },
  { title: 'INTER-TOKEN P99', isNumber: true, cell: (pool) => formatMs(pool.interTokenMs?.p99) },
]
