import type { TokenLogprobs } from '@punica/native-sgmv'
import type { ProbeReport } from '@punica/schema'

/** What one model generated greedily for one prompt, a token and its likeliest rivals at a time. */
export type Answer = readonly { token: number; logprobs: TokenLogprobs }[]

/** The least difference of a log-probability that counts, and how far it must stand out of noise. */
const leastChange = 1e-5
const noiseFactor = 4

/**
 * How far `adapted` is from `base`, prompt by prompt, or null where it is no further than `again`,
 * the base model asked once more: a device may add in another order in another batch, and that is
 * no effect of the adapter.
 */
export const compareAnswers = (
  base: readonly Answer[],
  again: readonly Answer[],
  adapted: readonly Answer[],
): ProbeReport | null => {
  const noise = differ(base, again)
  const report = differ(base, adapted)
  const isChanged =
    report.maxLogprobChange > Math.max(leastChange, noiseFactor * noise.maxLogprobChange) ||
    report.changedTokens > noise.changedTokens
  return isChanged ? report : null
}

const differ = (one: readonly Answer[], other: readonly Answer[]): ProbeReport => {
  const report = { maxLogprobChange: 0, changedTokens: 0, numTokens: 0 }
  one.forEach((answer, i) => {
    const rival = other[i] ?? []
    report.numTokens += answer.length
    report.changedTokens += answer.filter(({ token }, at) => token !== rival[at]?.token).length
    report.maxLogprobChange = Math.max(report.maxLogprobChange, largestChange(answer, rival))
  })
  return report
}

/** Up to the first token that differs: behind it the two answer different texts. */
const largestChange = (answer: Answer, rival: Answer): number => {
  let largest = 0
  for (const [at, { token, logprobs }] of answer.entries()) {
    const other = rival[at]
    if (other === undefined) break
    const known = new Map(logprobs.top.map((one) => [one.token, one.logprob]))
    for (const { token: candidate, logprob } of other.logprobs.top) {
      const before = known.get(candidate)
      if (before !== undefined) largest = Math.max(largest, Math.abs(before - logprob))
    }
    if (token !== other.token) break
  }
  return largest
}
