const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

/** 12,345 */
export const formatCount = (value: number): string => whole.format(value)

/** 1.2 MB, in powers of 1000. */
export const formatBytes = (bytes: number): string => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1)
  const value = bytes / 1000 ** power
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${units[power]}`
}

/** 9.4 ms, 240 ms, 1.3 s; a dash where nothing is known. */
export const formatMs = (ms: number | null | undefined): string => {
  if (ms == null) return '–'
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
  return `${(ms / 1000).toFixed(1)} s`
}

/** A share of 0 to 1 as 42%. */
export const formatShare = (share: number): string => `${Math.round(share * 100)}%`

/** 2026-11-24 14:03:59Z, the same wherever it is read; a dash where there is no time. */
export const formatTime = (time: string | null): string =>
  time === null ? '–' : new Date(time).toISOString().replace('T', ' ').replace(/\.\d+/, '')

/** one request, 2 requests */
export const plural = (count: number, noun: string): string =>
  `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
