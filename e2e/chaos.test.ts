import { expect, test } from 'vitest'
import { runChaos } from './chaos/chaos.ts'

// The long form is `npm run chaos`; this one shows that the parts of it still do what they say.
test('under moves and ends of processes every stream is as if undisturbed, and billed exactly', async () => {
  const report = await runChaos({ seed: 7, numMoves: 60, numKills: 6, lengths: [200] })
  expect(report.violations).toEqual([])
  expect(report.moves).toBeGreaterThanOrEqual(60)
  expect(report.numKilled).toBeGreaterThanOrEqual(6)
  expect(report.movedStreams).toBeGreaterThan(0)
}, 300_000)
