import type { Decision, EndReason, NodeStatus, Task, TenantRecord, WireError } from '@punica/schema'

type AttemptId = { requestId: string; attempt: number }
type Assignment = AttemptId & { nodeId: string }

/** null: as the options say, or no limit. */
export type PoolLimits = { maxNodes: number | null; interTokenTargetMs: number | null }

/** What happened. `nowMs` is the only clock that the scheduler knows. */
export type SchedulerEvent = { nowMs: number } & (
  | { type: 'submitted'; task: Task }
  | { type: 'cancelled'; requestId: string; gatewayId: string }
  | ({ type: 'assignAccepted' } & Assignment)
  /** The node said no, so it does not run it. */
  | ({ type: 'assignRefused'; error: WireError } & Assignment)
  /** No answer came in time; whether the node runs it is unknown. */
  | ({ type: 'assignUnanswered' } & Assignment)
  | ({ type: 'ended'; reason: EndReason; byPressure: boolean } & Assignment)
  | { type: 'nodeReported'; status: NodeStatus }
  | { type: 'nodeLeft'; nodeId: string }
  | { type: 'gatewayReported'; gatewayId: string; leaving: boolean }
  /** What the catalog says of a tenant; null: nothing any more. */
  | { type: 'tenantChanged'; tenant: string; record: TenantRecord | null }
  /** What the catalog says of the pool; null takes a limit away. */
  | { type: 'poolChanged'; limits: PoolLimits }
  /** What an operator asks for; repeating it changes nothing. */
  | { type: 'nodeCordoned'; nodeId: string }
  | { type: 'nodeDrained'; nodeId: string }
  | { type: 'nodeUncordoned'; nodeId: string }
  /**
   * Due several times within `heartbeatTimeoutMs`: it notices who has fallen silent, and does what is
   * done from time to time.
   */
  | { type: 'tick' }
  /** This scheduler begins where another one has ended: for `settleMs` it only listens. */
  | { type: 'tookOver'; settleMs: number }
  /** All that a gateway waits for, each with the node that its tokens came from, if any did. */
  | {
      type: 'gatewayWaits'
      gatewayId: string
      requests: readonly (AttemptId & { nodeId: string | null })[]
    }
  /** It was not told of events for a while, and now is again. */
  | { type: 'resumed' }
)

/** Why a request has to leave the place it had; a closed list, so that it can label a metric. */
export type InterruptCause =
  | 'node_lost'
  | 'node_left'
  | 'node_failed'
  | 'node_restarted'
  | 'assign_unanswered'
  | 'not_running'

/** Why a request is asked to move; a closed list, so that it can label a metric. */
export type MoveCause = 'consolidation' | 'drain'

/** What is to be done about it, in this order. */
export type Command =
  | { type: 'assign'; nodeId: string; task: Task }
  | ({ type: 'cancel'; nodeId: string } & AttemptId)
  /** Its gateway submits it again once the node has let go of it; room for it is kept elsewhere. */
  | ({ type: 'evict'; nodeId: string; cause: MoveCause } & AttemptId)
  /** Its gateway is to submit it again as the next attempt. */
  | ({ type: 'interrupt'; gatewayId: string; cause: InterruptCause } & AttemptId)
  | ({ type: 'reject'; gatewayId: string; error: WireError } & AttemptId)
  | { type: 'decide'; decision: Decision }
