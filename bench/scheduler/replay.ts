import { isDeepStrictEqual } from 'node:util'
import { createScheduler, type LoggedStep, toLogged } from '@punica/scheduler'
import { readEventLog } from './event-log.ts'

export type Difference = { index: number; step: LoggedStep; now: unknown }

/** Runs a recorded log through the scheduler of today and returns where it decides otherwise. */
export const replay = (path: string): { numSteps: number; differences: Difference[] } => {
  const { options, steps } = readEventLog(path)
  const scheduler = createScheduler(options)
  const differences: Difference[] = []
  for (const [index, step] of steps.entries()) {
    const now: unknown = JSON.parse(JSON.stringify(toLogged(scheduler.handle(step.event))))
    if (!isDeepStrictEqual(now, step.commands)) differences.push({ index, step, now })
  }
  return { numSteps: steps.length, differences }
}
