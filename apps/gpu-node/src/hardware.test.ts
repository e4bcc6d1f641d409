import { expect, test } from 'vitest'
import { createHardware } from './hardware.ts'

const device = {
  backend: 'cpu' as const,
  description: 'a CPU',
  weightBytes: 1_000_000,
  readBytesPerSecond: 1e9,
}
const fill = { numPages: 64, pageBytes: 1_600, pageSize: 16, adapters: [] }
const table = { list: () => [] }

const step = (durationMs: number, numPrefillTokens = 0) => ({
  step: 1,
  durationMs,
  numPrefillTokens,
  numDecodeRows: 2,
  numAdapters: 0,
  tokenRequests: new Float64Array(),
  tokens: new Int32Array(),
  tokenIndices: new Int32Array(),
  logprobs: null,
  ends: [],
  error: null,
  deviceLost: false,
})

test('the bytes of a step and the rate of the memory are known before the first step', () => {
  expect(createHardware(device).facts(fill, table)).toEqual({
    backend: 'cpu',
    description: 'a CPU',
    memoryBytes: 102_400,
    weightBytes: 1_000_000,
    kvBytesPerToken: 100,
    bandwidthBytesPerSecond: 1e9,
  })
})

test('what a step costs beside its bytes is learnt from steps that only decode', () => {
  const hardware = createHardware(device)
  hardware.observe(step(50, 100))
  expect(hardware.facts(fill, table).stepOverheadMs).toBeUndefined()
  // A million bytes are read in one millisecond, and those of an adapter in two.
  const adapter = { digest: 'a'.repeat(64), tier: 'device' as const, sizeBytes: 2e6, requests: 1 }
  hardware.observe(step(5))
  expect(hardware.facts({ ...fill, adapters: [adapter] }, table).stepOverheadMs).toBeCloseTo(2)
  for (let i = 0; i < 200; i++) {
    hardware.observe(step(4))
    hardware.facts(fill, table)
  }
  expect(hardware.facts(fill, table).stepOverheadMs).toBeCloseTo(3)
})

test('a device whose rate is not known has no model', () => {
  const hardware = createHardware({ ...device, readBytesPerSecond: null })
  hardware.observe(step(5))
  const facts = hardware.facts(fill, table)
  expect([facts.bandwidthBytesPerSecond, facts.stepOverheadMs]).toEqual([undefined, undefined])
})
