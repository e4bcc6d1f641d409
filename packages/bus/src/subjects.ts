/** Whether a subject falls under a pattern: `*` is one token, `>` at the end one or more. */
export const matches = (pattern: string, subject: string): boolean => {
  const want = pattern.split('.')
  const have = subject.split('.')
  for (const [i, token] of want.entries()) {
    if (token === '>') return i < have.length
    if (i >= have.length || (token !== '*' && token !== have[i])) return false
  }
  return want.length === have.length
}

/** The root of every inbox; what lies elsewhere is not answered. */
export const isInbox = (subject: string): boolean => subject.startsWith('_INBOX.')
