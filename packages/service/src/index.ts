export { type Logger, pino } from 'pino'
export { createMetrics, type Metrics } from './metrics.ts'
export { type Context, run } from './run.ts'
