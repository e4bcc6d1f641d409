import { InvalidArgumentError } from 'commander'

/** A parser for a whole number within bounds. */
export const toWhole =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text)
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
  }

/** A parser for a number within bounds. */
export const toNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text)
    if (text.trim() !== '' && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`)
  }

export type Limit = number | 'none'

/** A limit: a whole number from 1, or `none`. (commander makes an empty text of null.) */
export const toLimit = (text: string): Limit =>
  text === 'none' ? 'none' : toWhole(1, 2 ** 31 - 1)(text)

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Seconds of 90s, 5m, 12h, 30d; 0 is 0. */
export const toSeconds = (text: string): number => {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const seconds = text === '0' ? 0 : Number(count) * (unitSeconds[unit] ?? Number.NaN)
  if (Number.isFinite(seconds)) return seconds
  throw new InvalidArgumentError('It must be a time such as 90s, 5m, 12h or 30d.')
}

/** One of several words. */
export const toOneOf =
  <T extends string>(...words: readonly T[]) =>
  (text: string): T => {
    const word = words.find((one) => one === text)
    if (word !== undefined) return word
    throw new InvalidArgumentError(`It must be one of ${words.join(', ')}.`)
  }

/** Collects an option that may be given several times. */
export const collect = (text: string, before: readonly string[] = []): string[] => [...before, text]
