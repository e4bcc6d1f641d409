import type { Engine, StepReport } from '@punica/native-sgmv'
import type { NodeHardware } from '@punica/schema'
import type { Table } from './requests/table.ts'
import type { Measured } from './status.ts'

type Device = Pick<Engine, 'backend' | 'description' | 'weightBytes' | 'readBytesPerSecond'>
type Fill = Pick<Measured, 'numPages' | 'pageBytes' | 'pageSize' | 'adapters'>

/** Weight of a new step in what steps cost beside their bytes. */
const weight = 1 / 16

/**
 * What the scheduler's cost model needs to know of the device. How many bytes a step reads and how
 * fast is known from the start; what a step costs beside is learnt from the steps in which every
 * sequence decoded.
 */
export const createHardware = (device: Device) => {
  const { backend, description, weightBytes, readBytesPerSecond } = device
  let newestMs: number | null = null
  let overheadMs: number | null = null

  /** As packages/scheduler/src/cost.ts counts them. */
  const readMs = (
    { pageBytes, pageSize, adapters }: Fill,
    table: Pick<Table, 'list'>,
    bytesPerSecond: number,
  ): number => {
    let numBytes = weightBytes
    for (const { task, numGenerated } of table.list()) {
      numBytes += ((task.numPromptTokens + numGenerated) * pageBytes) / pageSize
    }
    for (const { requests, sizeBytes } of adapters) if (requests > 0) numBytes += sizeBytes
    return (1e3 * numBytes) / bytesPerSecond
  }

  return {
    observe: ({ numPrefillTokens, numDecodeRows, durationMs }: StepReport): void => {
      if (numPrefillTokens === 0 && numDecodeRows > 0) newestMs = durationMs
    },
    facts: (fill: Fill, table: Pick<Table, 'list'>): NodeHardware => {
      if (newestMs !== null && readBytesPerSecond !== null) {
        const extraMs = Math.max(0, newestMs - readMs(fill, table, readBytesPerSecond))
        overheadMs = overheadMs === null ? extraMs : overheadMs + (extraMs - overheadMs) * weight
        newestMs = null
      }
      return {
        backend,
        description: description.slice(0, 512),
        memoryBytes: fill.numPages * fill.pageBytes,
        weightBytes,
        // A page holds the keys and values of its tokens in all layers.
        kvBytesPerToken: Math.ceil(fill.pageBytes / fill.pageSize),
        ...(readBytesPerSecond === null ? {} : { bandwidthBytesPerSecond: readBytesPerSecond }),
        ...(overheadMs === null ? {} : { stepOverheadMs: overheadMs }),
      }
    },
  }
}
