/** A parsed pattern. */
export type Syntax =
  | { type: 'character'; accepts: (character: string) => boolean }
  | { type: 'begin' }
  | { type: 'end' }
  | { type: 'sequence'; items: Syntax[] }
  | { type: 'choice'; options: Syntax[] }
  /** max null: no limit. */
  | { type: 'repeat'; item: Syntax; min: number; max: number | null }

/** Says what of a pattern is wrong or not supported. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
}

const maxRepeat = 1000
const maxDepth = 50

const digit = (c: string): boolean => c >= '0' && c <= '9'
const word = (c: string): boolean =>
  digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c === '_'
const space = (c: string): boolean => ' \t\n\r\f\v'.includes(c)
const not =
  (accepts: (c: string) => boolean) =>
  (c: string): boolean =>
    !accepts(c)
const escapes: Record<string, (c: string) => boolean> = {
  d: digit,
  D: not(digit),
  w: word,
  W: not(word),
  s: space,
  S: not(space),
}

/** Reads a pattern in the dialect that `compilePattern` describes. Throws PatternError. */
export const parsePattern = (source: string): Syntax => {
  const cursor = createCursor(source)
  const syntax = parseChoice(cursor, 0)
  if (cursor.peek() !== '') throw new PatternError("has a ')' without its '('")
  return syntax
}

type Cursor = {
  /** The character `ahead` of the next one; empty beyond the end. */
  peek(ahead?: number): string
  next(): string
  skip(text: string): boolean
  /** What follows, at most `length` characters of it. */
  rest(length: number): string
}

const createCursor = (source: string): Cursor => {
  let at = 0
  return {
    peek: (ahead = 0) => source.charAt(at + ahead),
    next: () => {
      if (at === source.length) throw new PatternError('ends too early')
      at += 1
      return source.charAt(at - 1)
    },
    skip: (text) => {
      if (!source.startsWith(text, at)) return false
      at += text.length
      return true
    },
    rest: (length) => source.slice(at, at + length),
  }
}

const parseChoice = (cursor: Cursor, depth: number): Syntax => {
  const options = [parseSequence(cursor, depth)]
  while (cursor.skip('|')) options.push(parseSequence(cursor, depth))
  return { type: 'choice', options }
}

const parseSequence = (cursor: Cursor, depth: number): Syntax => {
  const items: Syntax[] = []
  while (!['', '|', ')'].includes(cursor.peek())) items.push(parseItem(cursor, depth))
  return { type: 'sequence', items }
}

const parseItem = (cursor: Cursor, depth: number): Syntax => {
  const item = parseAtom(cursor, depth)
  const bounds = parseBounds(cursor)
  if (bounds === null) return item
  // Whether lazy or not makes no difference to a match of the whole text; possessive would.
  cursor.skip('?')
  if (['*', '+', '?', '{'].includes(cursor.peek())) {
    throw new PatternError('repeats a repetition')
  }
  return { type: 'repeat', item, ...bounds }
}

const parseBounds = (cursor: Cursor): { min: number; max: number | null } | null => {
  if (cursor.skip('*')) return { min: 0, max: null }
  if (cursor.skip('+')) return { min: 1, max: null }
  if (cursor.skip('?')) return { min: 0, max: 1 }
  if (cursor.peek() !== '{') return null
  const found = /^\{(\d{0,4})(,?)(\d{0,4})\}/.exec(cursor.rest(12))
  const [text = '', low = '', comma = '', high = ''] = found ?? []
  if (text === '' || (low === '' && comma === '')) {
    throw new PatternError('has a repetition that is not {m,n}')
  }
  cursor.skip(text)
  const min = Number(low)
  const max = comma === '' ? min : high === '' ? null : Number(high)
  if (min > maxRepeat || (max !== null && (max > maxRepeat || max < min))) {
    throw new PatternError(`has a repetition {m,n} that is not m ≤ n ≤ ${maxRepeat}`)
  }
  return { min, max }
}

const parseAtom = (cursor: Cursor, depth: number): Syntax => {
  const character = cursor.next()
  switch (character) {
    case '(':
      return parseGroup(cursor, depth + 1)
    case '[':
      return { type: 'character', accepts: parseClass(cursor) }
    case '.':
      return { type: 'character', accepts: (c) => c !== '\n' }
    case '^':
      return { type: 'begin' }
    case '$':
      return { type: 'end' }
    case '\\':
      return { type: 'character', accepts: parseEscape(cursor) }
    case '*':
    case '+':
    case '?':
    case '{':
      throw new PatternError('repeats nothing')
    default:
      return { type: 'character', accepts: (c) => c === character }
  }
}

const parseGroup = (cursor: Cursor, depth: number): Syntax => {
  if (depth > maxDepth) throw new PatternError(`nests deeper than ${maxDepth} groups`)
  if (cursor.skip('?P<')) {
    while (cursor.next() !== '>');
  } else if (!cursor.skip('?:') && cursor.peek() === '?') {
    throw new PatternError('uses a group (?...); only (?:...) and (?P<name>...) are supported')
  }
  const group = parseChoice(cursor, depth)
  if (!cursor.skip(')')) throw new PatternError("has a '(' without its ')'")
  return group
}

/** After the backslash. */
const parseEscape = (cursor: Cursor): ((c: string) => boolean) => {
  const character = cursor.next()
  const known = escapes[character]
  if (known !== undefined) return known
  if (word(character) && character !== '_') {
    throw new PatternError(`uses \\${character}, which is not supported`)
  }
  return (c) => c === character
}

/** After the opening bracket. */
const parseClass = (cursor: Cursor): ((c: string) => boolean) => {
  const negated = cursor.skip('^')
  const members: ((c: string) => boolean)[] = []
  while (members.length === 0 || cursor.peek() !== ']') {
    const first = cursor.next()
    if (first === '\\') {
      members.push(parseEscape(cursor))
    } else if (cursor.peek() === '-' && cursor.peek(1) !== ']') {
      cursor.next()
      const last = cursor.next()
      if (last === '\\' || last < first) throw new PatternError('has a range that is not a-z')
      members.push((c) => c >= first && c <= last)
    } else {
      members.push((c) => c === first)
    }
  }
  cursor.next()
  const accepts = (c: string): boolean => members.some((member) => member(c))
  return negated ? not(accepts) : accepts
}
