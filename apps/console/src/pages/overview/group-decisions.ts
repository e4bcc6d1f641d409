import type { DecisionsSubscription } from '../../generated/graphql.ts'

export type Decision = DecisionsSubscription['decisions']['decisions'][number]

/** Decisions of one kind with one reason that followed each other at one node; the newest stands. */
export type DecisionGroup = { key: string; newest: Decision; count: number }

/** Newest first, so that a burst of placements is one line rather than the whole page. */
export const groupDecisions = (
  groups: readonly DecisionGroup[],
  decisions: readonly Decision[],
  maxGroups: number,
): DecisionGroup[] => {
  const grown = [...groups]
  for (const decision of decisions) {
    const [top] = grown
    if (top !== undefined && isAlike(top.newest, decision)) {
      grown[0] = { ...top, newest: decision, count: top.count + 1 }
    } else {
      grown.unshift({ key: keyOf(decision), newest: decision, count: 1 })
    }
  }
  return grown.slice(0, maxGroups)
}

const keyOf = ({ pool, at, seq }: Decision): string => `${pool} ${at} ${seq}`

const isAlike = (a: Decision, b: Decision): boolean =>
  a.kind === b.kind &&
  a.pool === b.pool &&
  a.nodeId === b.nodeId &&
  withoutNumbers(a.reason) === withoutNumbers(b.reason)

/** Reasons count pages and requests; that does not make them different ones. */
const withoutNumbers = (reason: string): string => reason.replaceAll(/\d+(\.\d+)?/g, '#')
