/** What was asked for, in the words of the audit log: `weight=2 maxTokensPerMinute=none`. */
export const describeChanges = (changes: Readonly<Record<string, unknown>>): string =>
  Object.entries(changes)
    .map(([field, value]) => `${field}=${value ?? 'none'}`)
    .join(' ')
