import { type Demand, type Node, newAdapterBytes } from './ledger.ts'

const nothing: Demand = { numTokens: 0, adapter: null }

/**
 * How long a decode step of the node takes, in milliseconds, with `demand` in addition to what it
 * has: decoding is bound by memory, so it is the bytes that a step reads (the weights, the KV of all
 * contexts and each distinct adapter once) over the bandwidth, and what each step and each sequence
 * costs beside. null: the node does not say what it would need to be known for that.
 */
export const stepMs = (node: Node, demand: Demand | null): number | null => {
  const { numTokens } = demand ?? nothing
  return toMs(node, {
    numTokens: node.numContextTokens + numTokens,
    adapterBytes: node.adapterBytes + newAdapterBytes(node, demand ?? nothing),
    numRows: node.numSequences + (demand === null ? 0 : 1),
  })
}

/** The same if the node ran nothing else. */
export const stepMsAlone = (node: Node, { numTokens, adapter }: Demand): number | null =>
  toMs(node, { numTokens, adapterBytes: adapter?.sizeBytes ?? 0, numRows: 1 })

const toMs = (
  { status: { hardware } }: Node,
  batch: { numTokens: number; adapterBytes: number; numRows: number },
): number | null => {
  const { weightBytes, kvBytesPerToken, bandwidthBytesPerSecond } = hardware
  if (weightBytes === undefined || kvBytesPerToken === undefined) return null
  if (bandwidthBytesPerSecond === undefined) return null
  const numBytes = weightBytes + kvBytesPerToken * batch.numTokens + batch.adapterBytes
  return (
    (numBytes / bandwidthBytesPerSecond) * 1_000 +
    (hardware.stepOverheadMs ?? 0) +
    (hardware.rowOverheadMs ?? 0) * batch.numRows
  )
}
