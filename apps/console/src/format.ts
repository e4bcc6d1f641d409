const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const dateAndTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' })

/** 12,345 */
export const formatCount = (value: number): string => whole.format(value)

/** 12.3K */
export const formatCompact = (value: number): string =>
  value < 10_000 ? whole.format(value) : compact.format(value)

/** 1.2 MB, in powers of 1000. */
export const formatBytes = (bytes: number): string => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1)
  const value = bytes / 1000 ** power
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${units[power]}`
}

/** 840 µs, 9.4 ms, 240 ms, 1.3 s. */
export const formatMs = (ms: number): string => {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
  return `${(ms / 1000).toFixed(1)} s`
}

/** A share of 0 to 1 as 42 %. */
export const formatShare = (share: number): string => `${Math.round(share * 100)} %`

/** 14:03:59 */
export const formatTime = (time: Date | string): string => clock.format(new Date(time))

export const formatDateTime = (time: Date | string): string => dateAndTime.format(new Date(time))

export const formatDate = (time: Date | string): string => date.format(new Date(time))

const steps: [unit: Intl.RelativeTimeFormatUnit, seconds: number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
]
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** 3 minutes ago; in 2 days. */
export const formatAgo = (time: Date | string, now: Date = new Date()): string => {
  const seconds = Math.round((new Date(time).getTime() - now.getTime()) / 1000)
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1]
  return relative.format(Math.trunc(seconds / size), unit)
}

/** The first characters of a digest, which tell it from others on one page. */
export const shortDigest = (digest: string): string => digest.slice(0, 12)

/** one request, 2 requests */
export const plural = (count: number, noun: string): string =>
  `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
