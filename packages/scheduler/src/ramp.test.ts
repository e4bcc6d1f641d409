import { expect, test } from 'vitest'
import { runRamp } from './testing/ramp.ts'
import { createRandom } from './testing/random.ts'

test("in the paper's hour, never more than one node above the lower bound is active", () => {
  const { samples, numArrived, numMoves } = runRamp(createRandom(1), 5_000)
  const above = samples.map(({ numActive, lowerBound }) => numActive - lowerBound)
  expect(Math.max(...above)).toBeLessThanOrEqual(1)
  expect(above.reduce((sum, number) => sum + number, 0) / above.length).toBeLessThan(0.25)
  // It does not take many moves, and there was something to pack.
  expect(numMoves).toBeLessThan(numArrived / 20)
  expect(Math.max(...samples.map(({ numActive }) => numActive))).toBeGreaterThan(12)
})
