import { choice, type Expression, empty, repeat, rule, sequence, text } from './expression.ts'

/** One `"key": value` of an object. */
export type Member = { text: Expression; required: boolean }

const comma = sequence(text(','), rule('space'))

export const pair = (key: Expression, value: Expression): Expression =>
  sequence(key, text(':'), rule('space'), value)

/**
 * The members of an object in their order, then any number of `extra`, with commas between them.
 * What may follow a member occurs in several places, and `share` makes it a rule: so the grammar
 * grows with the number of members and not with its square.
 */
export const membersOf = (
  members: readonly Member[],
  extra: Expression | null,
  share: (name: string, part: Expression) => Expression,
): Expression => {
  const more = extra === null ? empty : repeat(sequence(comma, extra), 0, null)
  let afterOne = sequence(more, rule('space'))
  let first = extra === null ? empty : choice([sequence(extra, more, rule('space')), empty])
  for (const [i, member] of [...members.entries()].reverse()) {
    const rest = share(`after member ${i}`, afterOne)
    const begun = sequence(member.text, rest)
    const taken = sequence(comma, begun)
    first = member.required ? begun : choice([begun, share(`from member ${i + 1}`, first)])
    afterOne = member.required ? taken : choice([taken, rest])
  }
  return first
}
