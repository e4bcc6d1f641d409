import {
  byte,
  choice,
  digit,
  type Expression,
  optional,
  repeat,
  sequence,
  text,
} from './expression.ts'
import { maxDigits } from './json.ts'

const largest = 10 ** maxDigits - 1

/** Bounds are inclusive; infinite ones are none. */
export type Range = { min: number; max: number }

/** A whole number within `range`, whose bounds are whole; null where there is none. */
export const integerIn = ({ min, max }: Range): Expression | null => {
  const lo = Math.max(min, -largest)
  const hi = Math.min(max, largest)
  const options = [
    ...(lo <= -1 ? naturals(Math.max(1, -hi), -lo).map((n) => sequence(text('-'), n)) : []),
    ...(hi >= 0 ? naturals(Math.max(0, lo), hi) : []),
  ]
  return options.length === 0 ? null : choice(options)
}

/**
 * A number without an exponent within `range`, whose bounds are whole. `open` leaves a bound itself
 * out. Null where there is none.
 */
export const numberIn = (
  { min, max }: Range,
  open: { min: boolean; max: boolean },
): Expression | null => {
  const negative = min < 0 ? magnitudes(mirror({ min, max }), { min: open.max, max: open.min }) : []
  const positive = max >= 0 ? magnitudes({ min, max }, open) : []
  const options = [...negative.map((option) => sequence(text('-'), option)), ...positive]
  return options.length === 0 ? null : choice(options)
}

const mirror = ({ min, max }: Range): Range => ({ min: -max, max: -min })

/** Numbers at or above zero within `range`, without their sign. */
const magnitudes = (range: Range, open: { min: boolean; max: boolean }): Expression[] => {
  const min = Math.max(range.min, 0)
  const max = Math.min(range.max, largest)
  const isOpenMin = open.min && range.min >= 0
  if (min > max) return []
  // Below `max` a whole number may have any fraction; `max` itself may have none.
  const numDigits = fractionLength(range)
  const fraction = sequence(text('.'), repeat(digit, 1, numDigits))
  const options = naturals(isOpenMin ? min + 1 : min, max - 1).map((whole) =>
    sequence(whole, optional(fraction)),
  )
  if (isOpenMin && min < max) {
    const aboveZero = sequence(text('.'), repeat(digit, 0, numDigits - 1), byte(0x31, 0x39))
    options.push(sequence(text(`${min}`), aboveZero))
  }
  const isOpenMax = open.max && range.max <= largest
  if (!isOpenMax && !(isOpenMin && min === max)) options.push(text(`${max}`))
  return options
}

/** So many digits behind the point that a number beside a bound is not rounded to it as a double. */
const fractionLength = ({ min, max }: Range): number => {
  const lengths = [min, max].filter(Number.isFinite).map((bound) => `${Math.abs(bound)}`.length)
  return Math.max(1, maxDigits - Math.max(1, ...lengths))
}

/** The decimal texts of min..max, both at or above zero, by length; none where min > max. */
const naturals = (min: number, max: number): Expression[] => {
  if (min > max) return []
  // Where every number of several lengths is within, one expression has them all.
  const shortest = isPowerOfTen(min) ? `${min}`.length : `${min}`.length + 1
  const longest = isPowerOfTen(max + 1) ? `${max}`.length : `${max}`.length - 1
  if (longest > shortest) {
    return [
      ...naturals(min, 10 ** (shortest - 1) - 1),
      sequence(byte(0x31, 0x39), repeat(digit, shortest - 1, longest - 1)),
      ...naturals(10 ** longest, max),
    ]
  }
  const options: Expression[] = []
  for (let length = `${min}`.length; length <= `${max}`.length; ++length) {
    const lo = Math.max(min, length === 1 ? 0 : 10 ** (length - 1))
    const hi = Math.min(max, 10 ** length - 1)
    options.push(sameLength(`${lo}`, `${hi}`))
  }
  return options
}

const isPowerOfTen = (value: number): boolean => /^10*$/.test(`${value}`)

const anyDigits = (count: number): Expression => repeat(digit, count, count)

const digits = (min: number, max: number): Expression => byte(0x30 + min, 0x30 + max)

const sameLength = (lo: string, hi: string): Expression => {
  if (lo === hi) return text(lo)
  const first = Number(lo[0])
  const last = Number(hi[0])
  if (/^.0*$/.test(lo) && /^.9*$/.test(hi)) {
    return sequence(digits(first, last), anyDigits(lo.length - 1))
  }
  if (first === last) return sequence(digits(first, first), sameLength(lo.slice(1), hi.slice(1)))
  const options = [sequence(digits(first, first), atLeast(lo.slice(1)))]
  if (last - first > 1)
    options.push(sequence(digits(first + 1, last - 1), anyDigits(lo.length - 1)))
  options.push(sequence(digits(last, last), atMost(hi.slice(1))))
  return choice(options)
}

const atLeast = (lo: string): Expression => {
  if (/^0*$/.test(lo)) return anyDigits(lo.length)
  return sameLength(lo, '9'.repeat(lo.length))
}

const atMost = (hi: string): Expression => {
  if (/^9*$/.test(hi)) return anyDigits(hi.length)
  return sameLength('0'.repeat(hi.length), hi)
}
