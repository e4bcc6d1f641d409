export type { Command, InterruptCause, MoveCause, SchedulerEvent } from './events.ts'
export type { SchedulerOptions } from './options.ts'
export type { ScaleHint } from './scale.ts'
export { createScheduler, type Scheduler, type SchedulerSnapshot } from './scheduler.ts'
