import type { Bus } from '@punica/bus'
import {
  type AdapterRef,
  AppError,
  channels,
  fromWireError,
  type ProbeReply,
  ProbeReport,
  toWireError,
} from '@punica/schema'
import { z } from 'zod'
import type { Inventory, NodeView } from '../nodes/inventory.ts'
import type { NodeWatch } from '../nodes/watch-nodes.ts'

/** What a version keeps of the probe that it passed. */
export const StoredProbe = ProbeReport.extend({ nodeId: z.string() })
export type StoredProbe = z.infer<typeof StoredProbe>

/**
 * Has a node of the pool try an adapter beside the base model. Rejects with `adapter_invalid` where
 * it changes nothing or its output is not finite, and with `unavailable` where no node of the pool
 * could try it in time.
 */
export type ProbeAdapter = (adapter: AdapterRef, pool: string) => Promise<StoredProbe>

type Deps = {
  bus: Pick<Bus, 'request'>
  inventory: Pick<Inventory, 'list'>
  nodeWatch: Pick<NodeWatch, 'onChange'>
  /** How long a publication waits for a node that takes the adapter. */
  waitMs: number
}

/** For one node: it fetches the files, loads them, and answers the prompts. */
const nodeTimeoutMs = 180_000
/** Between two rounds over the nodes of a pool of which none took it. */
const roundMs = 1_000

/** The files' fault, wherever it is tried; anything else may go better on another node, or later. */
const isVerdict = ({ code }: AppError): boolean =>
  code === 'adapter_invalid' || code === 'adapter_incompatible'

export const createProbe =
  ({ bus, inventory, nodeWatch, waitMs }: Deps): ProbeAdapter =>
  async (adapter, pool) => {
    const giveUpAt = Date.now() + waitMs
    let newest: AppError | undefined
    for (;;) {
      for (const { status } of readyNodes(inventory.list(pool))) {
        const { nodeId } = status
        const reply = await ask(bus, nodeId, adapter)
        if (reply.type === 'passed') return { nodeId, ...reply.report }
        newest = fromWireError(reply.error)
        if (isVerdict(newest)) throw newest
      }
      const leftMs = giveUpAt - Date.now()
      if (leftMs <= 0) throw noNode(pool, newest)
      await nextChange(nodeWatch, Math.min(leftMs, roundMs))
    }
  }

/** A node that cannot be asked has refused, as far as the adapter is concerned. */
const ask = (bus: Deps['bus'], nodeId: string, adapter: AdapterRef): Promise<ProbeReply> =>
  bus
    .request(channels.probe(nodeId), { adapter }, { timeoutMs: nodeTimeoutMs })
    .catch((cause: unknown) => ({ type: 'refused', error: toWireError(cause) }))

/** Those with the most room first, so that a probe pushes no request aside. */
const readyNodes = (nodes: readonly NodeView[]): NodeView[] =>
  nodes
    .filter(({ state }) => state === 'READY')
    .sort((a, b) => b.status.freePages - a.status.freePages)

const nextChange = (nodeWatch: Deps['nodeWatch'], timeoutMs: number): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      stop()
      resolve()
    }
    const timer = setTimeout(done, timeoutMs)
    const stop = nodeWatch.onChange(done)
  })

const noNode = (pool: string, cause: AppError | undefined): AppError => {
  const why = cause === undefined ? '' : ` (${cause.message})`
  const message = `No node of pool ${pool} could try the adapter${why}; publish the upload again later`
  return new AppError('unavailable', message, { cause, retryAfterMs: 5_000 })
}
