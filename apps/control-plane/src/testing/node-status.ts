import type { NodeStatus } from '@punica/schema'

/** What an idle node reports. */
export const nodeStatus = (nodeId: string, changes: Partial<NodeStatus> = {}): NodeStatus => ({
  nodeId,
  pool: 'default',
  incarnation: '1',
  state: 'ready',
  timeMs: 0,
  baseModel: 'demo',
  hardware: { backend: 'cpu', description: 'a test', memoryBytes: 2 ** 34 },
  maxBatchSize: 8,
  maxContext: 1024,
  pageSize: 16,
  pageBytes: 65_536,
  numPages: 100,
  freePages: 90,
  kvPages: 4,
  adapterPages: 6,
  requests: [{ requestId: 'r', attempt: 0 }],
  adapters: [{ digest: 'a'.repeat(64), tier: 'device', sizeBytes: 1000, requests: 1 }],
  counters: {
    steps: 1,
    promptTokens: 2,
    generatedTokens: 3,
    maxAdaptersInBatch: 4,
    adaptersInBatch: 2,
    batchSize: 5,
    stepMs: 1.5,
  },
  ...changes,
})
