import { type Expression, empty, optional, repeat, rule, sequence, text } from './expression.ts'

const comma = sequence(text(','), rule('space'))

/**
 * The elements of an array: first those of `prefix`, then `rest` again and again, from `min` to
 * `max` in all (null: without end).
 */
export const elementsOf = (
  prefix: readonly Expression[],
  rest: Expression,
  { min, max }: { min: number; max: number | null },
): Expression => {
  if (max === 0) return empty
  const begin = prefix.length === 0 ? [rest] : prefix.slice(0, max ?? undefined)
  const numMore = (bound: number): number => Math.max(0, bound - begin.length)
  const more = repeat(sequence(comma, rest), numMore(min), max === null ? null : numMore(max))
  // From the last to the first: each that is not needed may be left out with all that follow.
  let tail = more
  for (const [i, element] of [...begin.entries()].reverse()) {
    const here = i === 0 ? element : sequence(comma, element)
    tail = i < min ? sequence(here, tail) : optional(sequence(here, tail))
  }
  return sequence(tail, rule('space'))
}
