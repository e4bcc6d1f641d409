import { PatternError, parsePattern, type Syntax } from './pattern-syntax.ts'

/** Whether all of a text matches. */
export type Matcher = (text: string) => boolean

type State = {
  /** What it takes to pass: a character, or the place in the text; `free` takes nothing. */
  type: 'character' | 'begin' | 'end' | 'free'
  accepts: (character: string) => boolean
  next: State[]
}

const maxLength = 1000
const maxStates = 2000

/**
 * Compiles the part of Python's regular expressions that selects modules by name: literals, `.`,
 * `[...]`, groups, `|`, `* + ? {m,n}`, `^`, `$`, `\d \w \s` and escaped characters. Matching takes
 * time linear in the text (Thompson's construction), so an uploaded pattern cannot stall the
 * process, as JavaScript's own backtracking matcher would. Throws PatternError.
 */
export const compilePattern = (source: string): Matcher => {
  if (source.length > maxLength) throw new PatternError(`is longer than ${maxLength} characters`)
  const { first, last } = build(parsePattern(source))
  return (text) => run(first, last, text)
}

/** Joins the states of a pattern; `last` is where its matches end. */
const build = (syntax: Syntax): { first: State; last: State } => {
  let numStates = 0
  const last = newState('free')
  return { first: before(syntax, last), last }

  function newState(
    type: State['type'],
    next: State[] = [],
    accepts: State['accepts'] = () => false,
  ): State {
    numStates += 1
    if (numStates > maxStates)
      throw new PatternError('is too large once repetitions are written out')
    return { type, accepts, next }
  }

  /** The state at which `part` begins, when `then` follows it. */
  function before(part: Syntax, then: State): State {
    switch (part.type) {
      case 'character':
        return newState('character', [then], part.accepts)
      case 'begin':
      case 'end':
        return newState(part.type, [then])
      case 'sequence':
        return part.items.reduceRight((following, item) => before(item, following), then)
      case 'choice':
        return newState(
          'free',
          part.options.map((option) => before(option, then)),
        )
      case 'repeat':
        return beforeRepeat(part, then)
    }
  }

  function beforeRepeat(
    { item, min, max }: Extract<Syntax, { type: 'repeat' }>,
    then: State,
  ): State {
    let first = then
    if (max === null) {
      first = newState('free', [then])
      first.next.push(before(item, first))
    } else {
      for (let i = min; i < max; i++) first = newState('free', [then, before(item, first)])
    }
    for (let i = 0; i < min; i++) first = before(item, first)
    return first
  }
}

const run = (first: State, last: State, text: string): boolean => {
  let states = reach([first], { atBegin: true, atEnd: text === '' })
  for (let i = 0; i < text.length && states.size > 0; i++) {
    const character = text.charAt(i)
    const moved: State[] = []
    for (const state of states) {
      if (state.type === 'character' && state.accepts(character)) moved.push(...state.next)
    }
    states = reach(moved, { atBegin: false, atEnd: i + 1 === text.length })
  }
  return states.has(last)
}

/** All states that can be reached without reading a character. */
const reach = (
  from: readonly State[],
  { atBegin, atEnd }: { atBegin: boolean; atEnd: boolean },
): Set<State> => {
  const reached = new Set<State>()
  const waiting = [...from]
  for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
    if (reached.has(state)) continue
    reached.add(state)
    const passes =
      state.type === 'free' ||
      (state.type === 'begin' && atBegin) ||
      (state.type === 'end' && atEnd)
    if (passes) waiting.push(...state.next)
  }
  return reached
}
