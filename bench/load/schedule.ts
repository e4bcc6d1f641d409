// When a stub engine steps, and by which token a client knows the step that made it.

/** Tokens 38 to 63 of the demo model are the letters A to Z, each a token of its own. */
export const firstToken = 38
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
export const numTokens = letters.length

/** The steps of one engine: step k is due at `phaseMs + k * periodMs` of the system's clock. */
export type Schedule = { periodMs: number; phaseMs: number }

/** Engines step in turn, as those of different machines would not wait for each other. */
export const scheduleOf = (node: number, numNodes: number, periodMs: number): Schedule => ({
  periodMs,
  phaseMs: (periodMs * node) / numNodes,
})

/** The system's clock in milliseconds, to the microsecond. */
export const nowMs = (): number => performance.timeOrigin + performance.now()

export const dueMs = ({ periodMs, phaseMs }: Schedule, step: number): number =>
  phaseMs + step * periodMs

/** The step that is due next. */
export const nextStep = ({ periodMs, phaseMs }: Schedule, ms: number): number =>
  Math.floor((ms - phaseMs) / periodMs) + 1

export const tokenOfStep = (step: number): number => firstToken + (step % numTokens)

/** The newest step before `ms` that made this letter. It must be less than `numTokens` steps old. */
export const stepOfLetter = (schedule: Schedule, letter: string, ms: number): number => {
  const newest = nextStep(schedule, ms) - 1
  const age = (newest - letters.indexOf(letter)) % numTokens
  return newest - age
}
