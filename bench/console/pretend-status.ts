import type { NodeStatus } from '@punica/schema'

type Options = { numGpus: number; tick: number; baseModel: string }

const maxBatchSize = 32
const numPages = 2_048
const gib = 1024 ** 3

/**
 * What the GPU at `index` might say: the load goes up and down over a minute and is packed on the
 * highest ids, as the scheduler packs it. No engine is behind it.
 */
export const pretendStatus = (index: number, { numGpus, tick, baseModel }: Options): NodeStatus => {
  const load = (0.55 + 0.35 * Math.sin(tick / 20)) * numGpus * maxBatchSize
  const below = (numGpus - 1 - index) * maxBatchSize
  const numRequests = Math.round(Math.max(0, Math.min(maxBatchSize, load - below)))
  const numAdapters = Math.ceil(numRequests * 0.7)
  const kvPages = numRequests * 40 + (tick % 7)
  const adapterPages = numAdapters * 20
  return {
    nodeId: `gpu-${String(index).padStart(4, '0')}`,
    pool: 'default',
    incarnation: 'pretended',
    state: 'ready',
    timeMs: Date.now(),
    baseModel,
    hardware: { backend: 'cuda', description: 'Pretended', memoryBytes: 80 * gib },
    maxBatchSize,
    maxContext: 4096,
    pageSize: 16,
    pageBytes: 1024 ** 2,
    numPages,
    freePages: numPages - kvPages - adapterPages,
    kvPages,
    adapterPages,
    requests: Array.from({ length: numRequests }, (_, i) => ({
      requestId: `${index}-${i}`,
      attempt: 0,
    })),
    adapters: [],
    counters: {
      steps: tick * 50,
      promptTokens: 0,
      generatedTokens: tick * numRequests * 25,
      maxAdaptersInBatch: numAdapters,
      adaptersInBatch: numAdapters,
      batchSize: numRequests,
      stepMs: 9,
    },
  }
}
