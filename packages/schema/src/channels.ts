import type { z } from 'zod'
import * as api from './api.ts'
import * as l from './leadership.ts'
import * as m from './messages.ts'
import { PoolReport } from './pool-report.ts'
import { KeysUsed, UsageEvent } from './usage-messages.ts'

/** A NATS subject together with the only message allowed on it. */
export type Channel<T> = { readonly subject: string; readonly schema: z.ZodType<T> }

/** A subject that is answered. */
export type RequestChannel<Q, A> = {
  readonly subject: string
  readonly request: z.ZodType<Q>
  readonly reply: z.ZodType<A>
}

const channel = <T>(subject: string, schema: z.ZodType<T>): Channel<T> => ({ subject, schema })

const requestChannel = <Q, A>(
  subject: string,
  request: z.ZodType<Q>,
  reply: z.ZodType<A>,
): RequestChannel<Q, A> => ({ subject, request, reply })

// Every message in the system travels on one of these. Read downwards: it is the life of a request.

/** The NATS face of the API: client -> gateway. The reply inbox receives ApiEvents. */
export const generate = (tenant: string): Channel<api.GenerateMessage> =>
  channel(`punica.v1.${tenant}.generate`, api.GenerateMessage)
export const abort = (tenant: string): Channel<api.AbortCall> =>
  channel(`punica.v1.${tenant}.abort`, api.AbortCall)
export const models = (tenant: string): RequestChannel<api.ModelsCall, api.ModelsReply> =>
  requestChannel(`punica.v1.${tenant}.models`, api.ModelsCall, api.ModelsReply)

/** router leader -> gateways and gpu-nodes of its pool */
export const leader = (pool: string): Channel<l.LeaderAnnouncement> =>
  channel(`punica.pool.${pool}.leader`, l.LeaderAnnouncement)

/** gateway -> router leader */
export const submit = (pool: string): RequestChannel<m.Task, m.SubmitReply> =>
  requestChannel(`punica.pool.${pool}.submit`, m.Task, m.SubmitReply)
export const cancel = (pool: string): Channel<m.CancelRequest> =>
  channel(`punica.pool.${pool}.cancel`, m.CancelRequest)
export const gatewayStatus = (pool: string): Channel<m.GatewayStatus> =>
  channel(`punica.pool.${pool}.gateways`, m.GatewayStatus)

/** operator's tools -> router. What shall outlast the router is a record: see `nodeRecords`. */
export const admin = (pool: string): Channel<m.PoolCommand> =>
  channel(`punica.pool.${pool}.admin`, m.PoolCommand)

/** router -> gpu-node */
export const assign = (nodeId: string): RequestChannel<m.AssignRequest, m.AssignReply> =>
  requestChannel(`punica.node.${nodeId}.assign`, m.AssignRequest, m.AssignReply)
export const nodeCommand = (nodeId: string): Channel<m.NodeCommand> =>
  channel(`punica.node.${nodeId}.command`, m.NodeCommand)

/** control plane -> gpu-node, past the router and every quota: is this adapter fit to be served? */
export const probe = (nodeId: string): RequestChannel<m.ProbeRequest, m.ProbeReply> =>
  requestChannel(`punica.node.${nodeId}.probe`, m.ProbeRequest, m.ProbeReply)

/** gpu-node -> router (and whoever watches: control plane, cli) */
export const nodeEvents = (pool: string): Channel<m.NodeEvent> =>
  channel(`punica.pool.${pool}.nodes`, m.NodeEvent)

/** gpu-node -> gateway */
export const tokens = (gatewayId: string): Channel<m.TokenBatch> =>
  channel(`punica.gateway.${gatewayId}.tokens`, m.TokenBatch)

/** gateway -> gpu-node, after a gap */
export const replay = (nodeId: string): RequestChannel<m.ReplayRequest, m.ReplayReply> =>
  requestChannel(`punica.node.${nodeId}.replay`, m.ReplayRequest, m.ReplayReply)

/** router -> gateway */
export const gatewayEvents = (gatewayId: string): Channel<m.GatewayEvent> =>
  channel(`punica.gateway.${gatewayId}.events`, m.GatewayEvent)

export const waiting = (gatewayId: string): RequestChannel<l.WaitingRequest, l.WaitingReply> =>
  requestChannel(`punica.gateway.${gatewayId}.waiting`, l.WaitingRequest, l.WaitingReply)

/** router -> whoever watches */
export const decisions = (pool: string): Channel<m.Decision> =>
  channel(`punica.pool.${pool}.decisions`, m.Decision)

/** router, gateway -> whoever watches the pool */
export const poolReports = (pool: string): Channel<PoolReport> =>
  channel(`punica.pool.${pool}.reports`, PoolReport)

/** gateway -> JetStream stream PUNICA_USAGE -> control plane */
export const usage = (tenant: string): Channel<UsageEvent> =>
  channel(`punica.usage.${tenant}`, UsageEvent)

/** gateway -> control plane, which keeps when a key was last used */
export const keysUsed: Channel<KeysUsed> = channel('punica.keys.used', KeysUsed)
