import type { Bus } from '@punica/bus'
import type { Command, SchedulerEvent } from '@punica/scheduler'
import { channels, type SubmitReply, type Task, toAppError, toWireError } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { Config } from './config.ts'
import type { RequestTraces } from './request-traces.ts'

/** An event without its time, which whoever hands it over adds. */
export type Bare<E> = E extends unknown ? Omit<E, 'nowMs'> : never

type PerformerDeps = {
  bus: Pick<Bus, 'publish' | 'request'>
  log: Pick<Logger, 'debug' | 'warn'>
  config: Pick<Config, 'pool' | 'heartbeatTimeoutMs'>
  epoch: number
  traces: Pick<RequestTraces, 'placed'>
  /** What came of an assignment. */
  onAnswer: (event: Bare<SchedulerEvent>) => void
}

/** Carries out one command of the scheduler. */
export const createPerformer = ({ bus, log, config, epoch, traces, onAnswer }: PerformerDeps) => {
  /** A node that takes longer to answer than to be declared lost is as good as lost. */
  const timeoutMs = config.heartbeatTimeoutMs

  const assign = async (nodeId: string, task: Task): Promise<void> => {
    const assignment = { nodeId, requestId: task.requestId, attempt: task.attempt }
    const span = traces.placed(task, nodeId)
    const { traceparent } = span
    try {
      const channel = channels.assign(nodeId)
      const answer = await bus.request(channel, { epoch, task }, { timeoutMs, traceparent })
      span.end(answer.type === 'accepted' ? undefined : answer.error.code)
      if (answer.type === 'accepted') onAnswer({ type: 'assignAccepted', ...assignment })
      else onAnswer({ type: 'assignRefused', error: answer.error, ...assignment })
    } catch (cause) {
      const error = toAppError(cause)
      span.end(error.code)
      log.warn({ err: error, ...assignment }, 'assignment not answered')
      // A message that was never sent was not received either.
      if (error.code === 'payload_too_large') {
        onAnswer({ type: 'assignRefused', error: toWireError(error), ...assignment })
      } else onAnswer({ type: 'assignUnanswered', ...assignment })
    }
  }

  return (command: Command, event: SchedulerEvent): void => {
    switch (command.type) {
      case 'assign':
        void assign(command.nodeId, command.task)
        break
      case 'cancel': {
        const { nodeId, ...what } = command
        bus.publish(channels.nodeCommand(nodeId), { ...what, epoch })
        break
      }
      case 'evict': {
        const { type, nodeId, requestId, attempt } = command
        bus.publish(channels.nodeCommand(nodeId), { type, epoch, requestId, attempt })
        break
      }
      case 'interrupt': {
        const { gatewayId, requestId, attempt } = command
        const message = { type: 'interrupted' as const, epoch, requestId, attempt }
        bus.publish(channels.gatewayEvents(gatewayId), message)
        break
      }
      case 'reject': {
        if (event.type === 'submitted' && isAbout(command, event.task)) break
        const { gatewayId, requestId, attempt, error } = command
        const message = { type: 'rejected' as const, epoch, requestId, attempt, error }
        bus.publish(channels.gatewayEvents(gatewayId), message)
        break
      }
      case 'decide':
        bus.publish(channels.decisions(config.pool), command.decision)
        log.debug(command.decision, 'decided')
        break
    }
  }
}

type Rejection = Extract<Command, { type: 'reject' }>

const isAbout = (rejection: Rejection, task: Task): boolean =>
  rejection.requestId === task.requestId &&
  rejection.attempt === task.attempt &&
  rejection.gatewayId === task.gatewayId

/** A task that is rejected at once has its rejection as the reply; it gets no second message. */
export const toReply = (task: Task, commands: readonly Command[]): SubmitReply => {
  for (const command of commands) {
    if (command.type === 'reject' && isAbout(command, task)) {
      return { type: 'refused', error: command.error }
    }
  }
  return { type: 'queued' }
}
