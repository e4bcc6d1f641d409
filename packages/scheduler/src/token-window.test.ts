import { expect, test } from 'vitest'
import { createRandom } from './testing/random.ts'
import { createTokenWindow } from './token-window.ts'

test('it holds what was charged in the last minute, and never less', () => {
  const random = createRandom(1)
  const window = createTokenWindow()
  const charges: { atMs: number; numTokens: number }[] = []
  let nowMs = 1_700_000_000_000
  for (let i = 0; i < 5_000; i++) {
    nowMs += random.below(random.chance(0.01) ? 90_000 : 400)
    const numTokens = random.below(100)
    window.charge(nowMs, numTokens)
    charges.push({ atMs: nowMs, numTokens })
    const refunded = random.pick(charges.slice(-20))
    if (refunded !== undefined && random.chance(0.3)) {
      const part = random.below(refunded.numTokens + 1)
      window.refund(nowMs, refunded.atMs, part)
      refunded.numTokens -= part
    }
    const since = (ms: number): number =>
      charges
        .filter(({ atMs }) => atMs > nowMs - ms)
        .reduce((total, { numTokens: number }) => total + number, 0)
    expect(window.sum(nowMs)).toBeGreaterThanOrEqual(since(60_000))
    expect(window.sum(nowMs)).toBeLessThanOrEqual(since(61_000))
    if (charges.length > 1_000) charges.splice(0, 500)
  }
})

test('the wait that it names is enough and not too long', () => {
  const random = createRandom(2)
  const window = createTokenWindow()
  const charges: { atMs: number; numTokens: number }[] = []
  /** What a window would hold later if nothing was added. */
  const sumAt = (nowMs: number): number => {
    const copy = createTokenWindow()
    for (const { atMs, numTokens } of charges) copy.charge(atMs, numTokens)
    return copy.sum(nowMs)
  }
  let nowMs = 0
  for (let i = 0; i < 300; i++) {
    nowMs += random.below(3_000)
    charges.push({ atMs: nowMs, numTokens: random.below(100) })
    window.charge(nowMs, charges.at(-1)?.numTokens ?? 0)
    const maxTokens = random.below(2_000)
    const waitMs = window.waitMs(nowMs, maxTokens)
    expect(sumAt(nowMs + waitMs)).toBeLessThanOrEqual(maxTokens)
    if (waitMs > 0) expect(sumAt(nowMs + waitMs - 1)).toBeGreaterThan(maxTokens)
  }
})
