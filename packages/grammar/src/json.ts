import {
  byte,
  choice,
  digit,
  type Expression,
  oneOf,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from './expression.ts'

// JSON texts (RFC 8259), a little narrower: what a model could go on with for ever is bounded, so
// white space between tokens is one space or one line break with its indentation, and numbers are
// short enough for every reader to hold them as finite doubles.

const maxIndentation = 20
/** Whole numbers of so many digits are exact as doubles. */
export const maxDigits = 15

const continuation = byte(0x80, 0xbf)

/** One character above ASCII in UTF-8, well-formed (Unicode 15, table 3-7). */
const multibyte = choice([
  sequence(byte(0xc2, 0xdf), continuation),
  sequence(byte(0xe0), byte(0xa0, 0xbf), continuation),
  sequence(choice([byte(0xe1, 0xec), byte(0xee, 0xef)]), continuation, continuation),
  sequence(byte(0xed), byte(0x80, 0x9f), continuation),
  sequence(byte(0xf0), byte(0x90, 0xbf), continuation, continuation),
  sequence(byte(0xf1, 0xf3), continuation, continuation, continuation),
  sequence(byte(0xf4), byte(0x80, 0x8f), continuation, continuation),
])

const hex = oneOf('0-9a-fA-F')

/** Half a surrogate pair is no character, so escapes of them are left out. */
const escaped = sequence(
  text('\\'),
  choice([
    oneOf('"\\/bfnrt'),
    sequence(text('u'), oneOf('0-9a-ce-fA-CE-F'), hex, hex, hex),
    sequence(text('u'), oneOf('dD'), oneOf('0-7'), hex, hex),
  ]),
)

/** A byte of a string that needs no escape, from `min` to `max`, in ASCII. */
export const plainAscii = (excluded: ReadonlySet<number> = new Set()): Expression[] => {
  const ranges: [number, number][] = []
  for (let code = 0x20; code < 0x80; ++code) {
    if (code === 0x22 || code === 0x5c || excluded.has(code)) continue
    const last = ranges[ranges.length - 1]
    if (last !== undefined && last[1] === code - 1) last[1] = code
    else ranges.push([code, code])
  }
  return ranges.map(([min, max]) => byte(min, max))
}

const character = choice([...plainAscii(), multibyte, escaped])

const space = optional(
  choice([text(' '), sequence(text('\n'), repeat(oneOf(' \t'), 0, maxIndentation))]),
)

/** A digit string without a leading zero. */
const wholeNumber = choice([text('0'), sequence(oneOf('1-9'), repeat(digit, 0, maxDigits - 1))])
const fraction = sequence(text('.'), repeat(digit, 1, maxDigits))
const exponent = sequence(oneOf('eE'), optional(oneOf('+-')), repeat(digit, 1, 2))

const list = (item: Expression): Expression =>
  sequence(item, repeat(sequence(text(','), space, item), 0, null))

const between = (open: string, content: Expression, close: string): Expression =>
  sequence(text(open), space, optional(sequence(content, space)), text(close))

/** Rules that every grammar of JSON may call. */
export const jsonRules: ReadonlyMap<string, Expression> = new Map([
  ['space', space],
  ['character', character],
  ['plain', repeat(choice([...plainAscii(), multibyte]), 0, null)],
  ['string', sequence(text('"'), repeat(rule('character'), 0, null), text('"'))],
  ['number', sequence(optional(text('-')), wholeNumber, optional(fraction), optional(exponent))],
  ['integer', sequence(optional(text('-')), wholeNumber)],
  ['boolean', choice([text('true'), text('false')])],
  ['null', text('null')],
  ['member', sequence(rule('string'), text(':'), rule('space'), rule('value'))],
  ['object', between('{', list(rule('member')), '}')],
  ['array', between('[', list(rule('value')), ']')],
  [
    'value',
    choice(['object', 'array', 'string', 'number', 'boolean', 'null'].map((name) => rule(name))),
  ],
])
