export type SchedulerOptions = {
  pool: string
  /** Nodes with another base model get nothing; null: what the first node of the pool serves. */
  baseModel: string | null
  /** Requests that may wait; those that have begun and had to leave a node are not counted in. */
  maxQueue: number
  /** A node or gateway that has said nothing for this long is lost. */
  heartbeatTimeoutMs: number
  /** Nodes that may refuse one request, for reasons that may pass, before it is rejected. */
  maxRefusals: number
} & Partial<Rules>

/** What has a default. */
type Rules = {
  /** Of `maxQueue`, how many one tenant may have. */
  maxQueuePerTenant: number
  /** Time between two tokens that no placement may exceed by the model of cost.ts; null: any. */
  targetInterTokenMs: number | null
  /**
   * Time between two tokens up to which requests are packed onto the fullest node, by the same model;
   * above it they go to the node with the shortest step. null: the fullest always.
   */
  packInterTokenMs: number | null
  /** How often the lightest nodes are looked at, to be vacated; null: never. */
  consolidationIntervalMs: number | null
  /** A request that has just been moved is not asked to move again for so long. */
  minMoveIntervalMs: number
  /** A request that can make no more tokens than this is about to end, and is not moved. */
  minRemainingTokens: number
  /** No node has been lightly loaded for so long: another is asked for. */
  scaleUpAfterMs: number
  /** Nodes have had no load for so long: they may be released. */
  scaleDownAfterMs: number
}

export type Policy = Omit<SchedulerOptions, keyof Rules> & Rules

const defaults: Omit<Rules, 'maxQueuePerTenant'> = {
  targetInterTokenMs: null,
  packInterTokenMs: null,
  consolidationIntervalMs: null,
  minMoveIntervalMs: 30_000,
  minRemainingTokens: 32,
  scaleUpAfterMs: 5_000,
  scaleDownAfterMs: 60_000,
}

export const withDefaults = (options: SchedulerOptions): Policy => ({
  maxQueuePerTenant: options.maxQueue,
  ...defaults,
  ...options,
})
