import type { Decision, NodeStatus, Task } from '@punica/schema'
import type { Command, SchedulerEvent } from '../events.ts'
import type { SchedulerOptions } from '../options.ts'
import { createScheduler } from '../scheduler.ts'
import { options } from './fixtures.ts'

type Bare<E> = E extends unknown ? Omit<E, 'nowMs'> : never
/** A command that has an effect outside. */
type Effect = Exclude<Command, { type: 'decide' }>

/** A scheduler with a clock that the test sets; `send` returns the commands without decisions. */
export const start = (changed: Partial<SchedulerOptions> = {}) => {
  const scheduler = createScheduler({ ...options, ...changed })
  const clock = { nowMs: 0 }
  const handle = (event: Bare<SchedulerEvent>): Command[] =>
    scheduler.handle({ nowMs: clock.nowMs, ...event })
  const send = (event: Bare<SchedulerEvent>): Effect[] =>
    handle(event).filter((command): command is Effect => command.type !== 'decide')
  return {
    clock,
    handle,
    send,
    /** The reasons of the decisions of a kind that an event makes. */
    reasons: (event: Bare<SchedulerEvent>, kind: Decision['kind']): string[] =>
      handle(event).flatMap((command) =>
        command.type === 'decide' && command.decision.kind === kind
          ? [command.decision.reason]
          : [],
      ),
    snapshot: scheduler.snapshot,
    scaleHint: scheduler.scaleHint,
    gpuSeconds: scheduler.gpuSeconds,
    report: (status: NodeStatus) => send({ type: 'nodeReported', status }),
    submit: (what: Task) => send({ type: 'submitted', task: what }),
    /** Submits, and says where it went. */
    placed: (what: Task): string | null => {
      const found = send({ type: 'submitted', task: what }).find(({ type }) => type === 'assign')
      return found?.type === 'assign' ? found.nodeId : null
    },
    end: (nodeId: string, requestId: string, attempt = 0) =>
      send({ type: 'ended', nodeId, requestId, attempt, reason: 'stop', byPressure: false }),
  }
}
