import { useEffect, useState } from 'react'
import type { NodeQuery } from '../../generated/graphql.ts'

export type BatchSample = { atMs: number; batchSize: number; adapters: number; stepMs: number }

/** Ten minutes at one sample a second. */
const maxSamples = 600

/** What the batches of a node held, from when its page was opened. */
export const useTimeline = (node: NonNullable<NodeQuery['node']>): BatchSample[] => {
  const [samples, setSamples] = useState<BatchSample[]>([])
  const { lastSeenAt, batchSize, adaptersInBatch, stepMs } = node
  useEffect(() => {
    const atMs = new Date(lastSeenAt).getTime()
    const sample = { atMs, batchSize, adapters: adaptersInBatch, stepMs }
    setSamples((before) =>
      before.at(-1)?.atMs === atMs ? before : [...before.slice(1 - maxSamples), sample],
    )
  }, [lastSeenAt, batchSize, adaptersInBatch, stepMs])
  return samples
}
