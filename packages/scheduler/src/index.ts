export type { Command, InterruptCause, SchedulerEvent } from './events.ts'
export { createScheduler, type Scheduler, type SchedulerSnapshot } from './scheduler.ts'
export type { SchedulerOptions } from './state.ts'
