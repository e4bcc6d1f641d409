import { choice, type Expression, empty, rule, sequence, text } from './expression.ts'
import { plainAscii } from './json.ts'

/**
 * The text of a key that is none of `keys`, in its quotes. It uses no escapes, so that no other
 * spelling of one of them passes.
 */
export const otherKey = (keys: readonly string[]): Expression =>
  sequence(text('"'), otherText(keys.filter(isPlain)), text('"'))

/** The others cannot be written without an escape. */
const isPlain = (key: string): boolean => JSON.stringify(key).length === key.length + 2

/** Any further characters that need no escape. */
const rest = rule('plain')

/** A text that is none of `keys`: it ends inside them, or leaves them at some character. */
const otherText = (keys: readonly string[]): Expression => {
  const nexts = new Map<string, string[]>()
  for (const key of keys) {
    const [first] = key
    if (first === undefined) continue
    nexts.set(first, [...(nexts.get(first) ?? []), key.slice(first.length)])
  }
  if (nexts.size === 0) return keys.includes('') ? sequence(choice(plainAscii()), rest) : rest
  const options = [...nexts].map(([first, tails]) => sequence(text(first), otherText(tails)))
  options.push(sequence(leaving([...nexts.keys()]), rest))
  if (!keys.includes('')) options.push(empty)
  return choice(options)
}

/** One plain ASCII character that is none of `characters`. */
const leaving = (characters: readonly string[]): Expression =>
  choice(plainAscii(new Set(characters.map((character) => character.codePointAt(0) ?? 0))))
