import type { Command, SchedulerEvent } from './events.ts'
import type { SchedulerOptions } from './options.ts'

/** What the scheduler was told, and what it decided in the words of the log. */
export type LoggedStep = { event: SchedulerEvent; commands: unknown }

/**
 * A log of a scheduler's life, as lines of JSON: first its options, then one line for each event with
 * the commands that came of it. Whoever has it can run the same events through the scheduler again.
 * Token ids are not in it, only how many there were: no decision depends on them, and a prompt is
 * nobody else's business.
 */
export const toLogHead = (options: SchedulerOptions): string => {
  const { pool, baseModel, maxQueue, maxQueuePerTenant, heartbeatTimeoutMs, maxRefusals } = options
  const { targetInterTokenMs, packInterTokenMs, consolidationIntervalMs } = options
  const { minMoveIntervalMs, minRemainingTokens, scaleUpAfterMs, scaleDownAfterMs } = options
  const own = {
    ...{ pool, baseModel, maxQueue, maxQueuePerTenant, heartbeatTimeoutMs, maxRefusals },
    ...{ targetInterTokenMs, packInterTokenMs, consolidationIntervalMs },
    ...{ minMoveIntervalMs, minRemainingTokens, scaleUpAfterMs, scaleDownAfterMs },
  }
  return `${JSON.stringify({ options: own })}\n`
}

export const toLogLine = (event: SchedulerEvent, commands: readonly Command[]): string =>
  `${JSON.stringify({ event: withoutTokens(event), commands: toLogged(commands) })}\n`

const withoutTokens = (event: SchedulerEvent): unknown =>
  event.type === 'submitted'
    ? { ...event, task: { ...event.task, tokens: event.task.tokens.length } }
    : event

/** Commands as they are logged and compared; an assigned task is written as the attempt that it is. */
export const toLogged = (commands: readonly Command[]): unknown =>
  commands.map((command) => {
    if (command.type !== 'assign') return command
    const { type, nodeId, task } = command
    return { type, nodeId, requestId: task.requestId, attempt: task.attempt }
  })

/** Reads the lines of a log. Throws a SyntaxError when one is not JSON. */
export const readLog = (
  lines: readonly string[],
): { options: SchedulerOptions; steps: LoggedStep[] } => {
  const [head, ...rest] = lines
  const { options } = JSON.parse(head ?? '')
  return { options, steps: rest.map((line) => JSON.parse(line, revive)) }
}

const byLength: number[][] = []

/** Nobody changes or reads the ids, so requests of a length share them. */
const revive = (key: string, value: unknown): unknown => {
  if (key !== 'tokens' || typeof value !== 'number') return value
  byLength[value] ??= new Array<number>(value).fill(0)
  return byLength[value]
}
