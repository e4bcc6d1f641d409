import {
  choice,
  digit,
  type Expression,
  oneOf,
  optional,
  repeat,
  sequence,
  text,
} from './expression.ts'

const upTo = (max: string): Expression => {
  const [tens = '0', ones = '0'] = max
  const below = Number(tens) > 0 ? [sequence(oneOf(`0-${Number(tens) - 1}`), digit)] : []
  return choice([...below, sequence(text(tens), oneOf(`0-${ones}`))])
}

const dayUpTo = (max: 28 | 30 | 31): Expression =>
  choice([
    sequence(text('0'), oneOf('1-9')),
    sequence(text('1'), digit),
    sequence(text('2'), max === 28 ? oneOf('0-8') : digit),
    ...(max === 30 ? [text('30')] : []),
    ...(max === 31 ? [text('30'), text('31')] : []),
  ])

const months = (names: string[], max: 28 | 30 | 31): Expression =>
  sequence(choice(names.map((name) => text(name))), text('-'), dayUpTo(max))

/** RFC 3339; the 29th of February, a day of some years only, is left out. */
const date = sequence(
  repeat(digit, 4, 4),
  text('-'),
  choice([
    months(['01', '03', '05', '07', '08', '10', '12'], 31),
    months(['04', '06', '09', '11'], 30),
    months(['02'], 28),
  ]),
)

/** RFC 3339 without leap seconds. */
const time = sequence(
  upTo('23'),
  text(':'),
  upTo('59'),
  text(':'),
  upTo('59'),
  optional(sequence(text('.'), repeat(digit, 1, 6))),
  choice([text('Z'), sequence(oneOf('+-'), upTo('23'), text(':'), upTo('59'))]),
)

const hex = oneOf('0-9a-f')
const uuid = sequence(
  ...[8, 4, 4, 4, 12].flatMap((count, i) => [
    ...(i === 0 ? [] : [text('-')]),
    repeat(hex, count, count),
  ]),
)

const octet = choice([
  digit,
  sequence(oneOf('1-9'), digit),
  sequence(text('1'), digit, digit),
  sequence(text('2'), oneOf('0-4'), digit),
  sequence(text('25'), oneOf('0-5')),
])
const ipv4 = sequence(octet, repeat(sequence(text('.'), octet), 3, 3))

/** The values of JSON Schema's `format` that can be held to, each without its quotes. */
export const formats: ReadonlyMap<string, Expression> = new Map([
  ['date', date],
  ['time', time],
  ['date-time', sequence(date, text('T'), time)],
  ['uuid', uuid],
  ['ipv4', ipv4],
])
