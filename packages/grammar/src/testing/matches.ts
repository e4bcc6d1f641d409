import type { Grammar } from '../index.ts'

type Thread = { at: number; stack: readonly number[] }

/** Whether `value` is a whole text of `grammar`: the program run step by step, as plainly as can be. */
export const matches = (grammar: Grammar, value: string): boolean => {
  let threads = expand(grammar, [{ at: 0, stack: [] }])
  for (const code of Buffer.from(value, 'utf8')) {
    const next = threads.flatMap(({ at, stack }) => {
      const [op, min = 0, max = 0] = grammar.slice(3 * at, 3 * at + 3)
      return op === 0 && code >= min && code <= max ? [{ at: at + 1, stack }] : []
    })
    threads = expand(grammar, next)
  }
  return threads.some(({ at }) => at === -1)
}

/** Follows what takes no byte; -1 is the end of the text. */
const expand = (grammar: Grammar, begins: readonly Thread[]): Thread[] => {
  const open = [...begins]
  const seen = new Map<string, Thread>()
  for (let thread = open.pop(); thread !== undefined; thread = open.pop()) {
    const key = `${thread.at} ${thread.stack.join()}`
    if (seen.has(key)) continue
    seen.set(key, thread)
    const { at, stack } = thread
    const [op, a = 0, b = 0] = grammar.slice(3 * at, 3 * at + 3)
    if (at === -1 || op === 0) continue
    if (op === 1) open.push({ at: a, stack }, { at: b, stack })
    if (op === 2) open.push({ at: a, stack })
    if (op === 3) open.push({ at: a, stack: [at + 1, ...stack] })
    if (op === 4) open.push({ at: stack[0] ?? -1, stack: stack.slice(1) })
  }
  return [...seen.values()]
}
