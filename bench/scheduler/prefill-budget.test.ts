import { expect, test } from 'vitest'
import { createPrefillBudget } from './prefill-budget.ts'

type Budget = ReturnType<typeof createPrefillBudget>

const stepMs = (decodeMs: number, numPrefillRows: number): number =>
  decodeMs + (numPrefillRows <= 200 ? 0 : 0.02 * (numPrefillRows - 200))

const budgetsOf = (budget: Budget, decodeMs: number, numSteps: number): number[] => {
  for (let i = 0; i < 20; i++) {
    budget.observe({ numDecodeRows: 8, numPrefillRows: 0, ms: decodeMs })
  }
  return Array.from({ length: numSteps }, () => {
    const numPrefillRows = budget.rows(8)
    budget.observe({ numDecodeRows: 8, numPrefillRows, ms: stepMs(decodeMs, numPrefillRows) })
    return numPrefillRows
  })
}

// The scenario and the numbers of packages/native-sgmv/test/prefill_budget_test.cc.
test('the simulated budget is that of the engine', () => {
  const budget = createPrefillBudget(10, 512)
  expect(budgetsOf(budget, 8, 6)).toEqual([512, 160, 256, 288, 288, 288])
  expect(budgetsOf(budget, 9, 3)).toEqual([224, 224, 224])
  expect(budgetsOf(budget, 20, 2)).toEqual([64, 64])
  expect(budget.rows(0)).toBe(512)
  expect(createPrefillBudget(null, 500).rows(8)).toBe(500)
})
