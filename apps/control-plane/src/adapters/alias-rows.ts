/** The targets of a revision, the oldest version first. */
const targets = {
  include: { version: true },
  orderBy: { version: { version: 'asc' } },
} as const

/** With an alias, the revision that holds: revisions only ever count up. */
export const newestRevision = {
  revisions: { orderBy: { revision: 'desc' }, take: 1, include: { targets } },
} as const

/** As many as are kept of an alias, and so how far back it can be taken. */
export const maxRevisions = 32

/** With an alias, all of its revisions that are kept, the newest first. */
export const allRevisions = {
  revisions: { orderBy: { revision: 'desc' }, take: maxRevisions, include: { targets } },
} as const
