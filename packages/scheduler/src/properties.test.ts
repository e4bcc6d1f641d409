import { expect, test } from 'vitest'
import { createScheduler } from './scheduler.ts'
import { type History, historyOptions, runHistory } from './testing/history.ts'

const seeds = Array.from({ length: 25 }, (_, i) => i + 1)

const countOf = ({ history }: History, wanted: string): number =>
  history.reduce(
    (sum, { commands }) =>
      sum +
      commands.filter((c) =>
        c.type === 'decide' ? c.decision.kind === wanted : c.type === 'evict' && c.cause === wanted,
      ).length,
    0,
  )

test.each(seeds)('no history loses, doubles or overloads anything (seed %i)', (seed) => {
  const run = runHistory(seed)
  const outcomes = [...run.world.clients.values()].map(({ outcome }) => outcome)
  expect(outcomes).not.toContain('open')
  const { queue, nodes } = run.scheduler.snapshot()
  expect(queue).toEqual([])
  expect(nodes.flatMap(({ requests, reserved }) => [...requests, ...reserved])).toEqual([])

  // Enough happened for this to mean something.
  expect(outcomes.filter((outcome) => outcome === 'done').length).toBeGreaterThan(30)
  expect(countOf(run, 'move')).toBeGreaterThan(5)
})

test('the histories have all that there is to have', () => {
  const runs = seeds.map(runHistory)
  for (const kind of ['refuse', 'drain', 'consolidation', 'scale', 'uncordon', 'interrupt']) {
    expect([kind, runs.filter((run) => countOf(run, kind) > 0).length]).toEqual([
      kind,
      expect.toSatisfy((number) => number > seeds.length / 3),
    ])
  }
})

test('the same events give the same commands', () => {
  for (const seed of [7, 8]) {
    const { history } = runHistory(seed)
    const again = createScheduler(historyOptions(seed))
    for (const { event, commands } of history) expect(again.handle(event)).toEqual(commands)
  }
})
