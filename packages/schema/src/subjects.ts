import * as channels from './channels.ts'

/** Every subject of channels.ts by the name of its channel, `*` in place of the name in it. */
export const channelPatterns: ReadonlyMap<string, string> = new Map(
  Object.entries(channels).map(([name, channel]) => [
    name,
    typeof channel === 'function' ? channel('*').subject : channel.subject,
  ]),
)

/**
 * The pattern of the channel that a subject belongs to, `_INBOX` for an inbox and `other` for the
 * rest: few values, whatever subjects there are, so that they can label a metric.
 */
export const patternOf = (subject: string): string => {
  if (subject.startsWith('_INBOX.')) return '_INBOX'
  const tokens = subject.split('.')
  for (const pattern of channelPatterns.values()) {
    const wanted = pattern.split('.')
    const fits = wanted.every((token, i) => token === '*' || token === tokens[i])
    if (fits && wanted.length === tokens.length) return pattern
  }
  return 'other'
}
