import type { AdapterRef, NodeStatus, Task } from '@punica/schema'
import type { SchedulerOptions } from '../options.ts'

export const options: SchedulerOptions = {
  pool: 'default',
  baseModel: null,
  maxQueue: 100,
  heartbeatTimeoutMs: 3_000,
  maxRefusals: 3,
}

export const adapterRef = (letter: string, sizeBytes = 1_000): AdapterRef => ({
  digest: letter.repeat(64),
  rank: 8,
  sizeBytes,
  files: [
    { name: 'adapter_model.safetensors', digest: letter.repeat(64), sizeBytes: sizeBytes - 100 },
  ],
})

/** A request of `numTokens` tokens; 15 of them and the next one fill one page of 16. */
export const task = (
  requestId: string,
  { numTokens = 15, ...rest }: Partial<Task> & { numTokens?: number } = {},
): Task => ({
  requestId,
  attempt: 0,
  gatewayId: 'gw',
  tenant: 'acme',
  adapter: null,
  tokens: Array.from({ length: numTokens }, () => 1),
  numPromptTokens: numTokens,
  maxNewTokens: 16,
  stopTokens: [],
  ignoreEos: false,
  sampling: { seed: 0 },
  arrivalMs: 0,
  deadlineMs: 1_000_000,
  ...rest,
})

export const nodeStatus = (nodeId: string, rest: Partial<NodeStatus> = {}): NodeStatus => ({
  nodeId,
  pool: 'default',
  incarnation: 'first',
  state: 'ready',
  timeMs: 0,
  baseModel: 'base',
  hardware: { backend: 'cpu', description: 'test', memoryBytes: 0 },
  maxBatchSize: 4,
  maxContext: 1_024,
  pageSize: 16,
  pageBytes: 100,
  numPages: 64,
  freePages: 64,
  kvPages: 0,
  adapterPages: 0,
  requests: [],
  adapters: [],
  counters: {
    steps: 0,
    promptTokens: 0,
    generatedTokens: 0,
    maxAdaptersInBatch: 0,
    adaptersInBatch: 0,
    batchSize: 0,
    stepMs: 0,
  },
  ...rest,
})
