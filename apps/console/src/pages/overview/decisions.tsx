import { useState } from 'react'
import { useSubscription } from 'urql'
import { Empty } from '../../components/empty.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { toProblem } from '../../connection/problem.ts'
import { formatCount, formatTime } from '../../format.ts'
import { DecisionsDocument } from '../../generated/graphql.ts'
import { kinds, sayDecision } from './decision-words.ts'
import { type DecisionGroup, groupDecisions } from './group-decisions.ts'

const maxGroups = 60

type Feed = { pool: string | null; groups: DecisionGroup[]; skipped: number }

/** What the scheduler decided and why, newest first. It stands still while somebody reads it. */
export const Decisions = ({ pool }: { pool: string | null }) => {
  const [feed, setFeed] = useState<Feed>({ pool, groups: [], skipped: 0 })
  const [held, setHeld] = useState<Feed | null>(null)
  const [{ error }] = useSubscription(
    { query: DecisionsDocument, variables: { pool } },
    (_, newest) => {
      const { decisions, skipped } = newest.decisions
      setFeed((before) => ({
        pool,
        groups: groupDecisions(before.pool === pool ? before.groups : [], decisions, maxGroups),
        skipped: (before.pool === pool ? before.skipped : 0) + skipped,
      }))
      return newest
    },
  )
  const { groups, skipped } = held ?? feed
  const hold = (): void => setHeld(feed)
  const release = (): void => setHeld(null)
  return (
    <section className="panel decisions" aria-labelledby="decisions">
      <header className="panel-head">
        <h2 id="decisions">Decisions</h2>
        {held !== null && held.groups.length > 0 && (
          <span className="tag">Held while you read</span>
        )}
        {skipped > 0 && (
          <span className="quiet small spread">{formatCount(skipped)} not shown</span>
        )}
      </header>
      {error !== undefined && <ProblemNote problem={toProblem(error)} />}
      {groups.length === 0 && (
        <Empty title="No decision yet">
          Each placement, move and refusal appears here with its reason.
        </Empty>
      )}
      <ol
        className="decision-list"
        aria-labelledby="decisions"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the keyboard
        tabIndex={0}
        onMouseEnter={hold}
        onMouseLeave={release}
        onFocus={hold}
        onBlur={release}
      >
        {groups.map((group) => (
          <Line key={group.key} group={group} />
        ))}
      </ol>
    </section>
  )
}

const Line = ({ group }: { group: DecisionGroup }) => {
  const { kind, at, reason } = group.newest
  const { word, tone } = kinds[kind]
  return (
    <li className="decision">
      <p>
        <span className={`decision-kind ${tone}`}>{word}</span> {sayDecision(group)}
      </p>
      <time className="quiet small number" dateTime={at}>
        {formatTime(at)}
      </time>
      <p className="quiet decision-reason">{reason}</p>
    </li>
  )
}
