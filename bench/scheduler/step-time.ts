import { readFileSync } from 'node:fs'
import type { NodeHardware } from '@punica/schema'
import { z } from 'zod'

const sourced = <T extends z.ZodType>(value: T) =>
  z.strictObject({ value, source: z.string().min(1) })
const positive = sourced(z.number().positive())
const notNegative = sourced(z.number().nonnegative())

const StepTimeFile = z.strictObject({
  device: z.string(),
  model: z.string(),
  numbers: z.strictObject({
    /** [rows of the step, ms of its dense matrix products], rows ascending. */
    denseMsByRows: sourced(z.array(z.tuple([z.number(), z.number()])).min(2)),
    stepOverheadMs: notNegative,
    attentionBytesPerSecond: positive,
    /** Of a step with any adapter in it. */
    loraFixedMs: notNegative,
    /** Beside it, of each row of such a step. */
    loraMsPerRow: notNegative,
    loraBytesPerSecond: positive,
    weightBytes: positive,
    kvBytesPerToken: positive,
    adapterBytesPerRank: positive,
    /** For KV pages and adapters together. */
    poolBytes: positive,
    hostToDeviceBytesPerSecond: positive,
    storeBytesPerSecond: positive,
    storeLatencyMs: notNegative,
    hostAdapterBytes: positive,
  }),
})
export type StepTimeFile = z.infer<typeof StepTimeFile>

/** How long a GPU takes for what, and how much fits into it. */
export type StepTime = {
  readonly device: string
  readonly model: string
  readonly weightBytes: number
  readonly kvBytesPerToken: number
  readonly adapterBytesPerRank: number
  readonly attentionBytesPerSecond: number
  readonly stepOverheadMs: number
  readonly poolBytes: number
  readonly hostToDeviceBytesPerSecond: number
  readonly storeBytesPerSecond: number
  readonly storeLatencyMs: number
  readonly hostAdapterBytes: number
  /** Step time without the reading of KV; `adapterBytes` is of the distinct adapters of the step. */
  fixedMs(numRows: number, adapterBytes: number): number
  /** What each token of context adds to the step. */
  readonly msPerKvToken: number
}

/** Reads a file of GPU numbers, each of which names its source. Throws when it is malformed. */
export const readStepTime = (path: string | URL): StepTime =>
  toStepTime(StepTimeFile.parse(JSON.parse(readFileSync(path, 'utf8'))))

const toStepTime = ({ device, model, numbers }: StepTimeFile): StepTime => {
  const dense = numbers.denseMsByRows.value
  const loraMs = (numRows: number): number =>
    numbers.loraFixedMs.value + numRows * numbers.loraMsPerRow.value
  const loraMsPerByte = 1e3 / numbers.loraBytesPerSecond.value
  return {
    device,
    model,
    weightBytes: numbers.weightBytes.value,
    kvBytesPerToken: numbers.kvBytesPerToken.value,
    adapterBytesPerRank: numbers.adapterBytesPerRank.value,
    attentionBytesPerSecond: numbers.attentionBytesPerSecond.value,
    stepOverheadMs: numbers.stepOverheadMs.value,
    poolBytes: numbers.poolBytes.value,
    hostToDeviceBytesPerSecond: numbers.hostToDeviceBytesPerSecond.value,
    storeBytesPerSecond: numbers.storeBytesPerSecond.value,
    storeLatencyMs: numbers.storeLatencyMs.value,
    hostAdapterBytes: numbers.hostAdapterBytes.value,
    fixedMs: (numRows, adapterBytes) =>
      numbers.stepOverheadMs.value +
      interpolate(dense, numRows) +
      (adapterBytes > 0 ? loraMs(numRows) + adapterBytes * loraMsPerByte : 0),
    msPerKvToken: (1e3 * numbers.kvBytesPerToken.value) / numbers.attentionBytesPerSecond.value,
  }
}

/** Linear between the points and beyond the last two; before the first, its value. */
const interpolate = (points: readonly (readonly [number, number])[], x: number): number => {
  let [x0, y0] = points[0] ?? [0, 0]
  let y = y0
  for (const [x1, y1] of points) {
    if (x <= x0) break
    if (x1 > x0) y = y0 + ((x - x0) * (y1 - y0)) / (x1 - x0)
    x0 = x1
    y0 = y1
  }
  return y
}

/**
 * What a node with this GPU says of itself. The scheduler's own model is coarser than the one here
 * (all bytes at one rate, and a fixed cost), so the cost is set to agree at a full decode batch.
 */
export const nodeHardware = (stepTime: StepTime): NodeHardware => {
  const { weightBytes, kvBytesPerToken, attentionBytesPerSecond, device } = stepTime
  const readMs = (1e3 * weightBytes) / attentionBytesPerSecond
  return {
    backend: 'cuda',
    description: device,
    memoryBytes: weightBytes + stepTime.poolBytes,
    weightBytes,
    kvBytesPerToken,
    bandwidthBytesPerSecond: attentionBytesPerSecond,
    stepOverheadMs: Math.max(0, stepTime.fixedMs(32, 1) - readMs),
  }
}
