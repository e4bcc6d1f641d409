import type { StepReport } from '@punica/native-sgmv'
import type { AssignReply } from '@punica/schema'
import type { Metrics } from '@punica/service'
import type { End } from './publish-steps.ts'
import type { Table } from './requests/table.ts'
import { toBatchSize } from './status.ts'

/** What an operator watches of a node. */
export const createNodeMetrics = (
  metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>,
  table: Pick<Table, 'size'>,
) => {
  metrics.gauge({
    name: 'punica_node_requests',
    help: 'Requests assigned and not ended',
    collect: () => table.size,
  })
  const tokens = metrics.counter({
    name: 'punica_node_tokens_total',
    help: 'Tokens prefilled and generated',
    labelNames: ['kind'],
  })
  const steps = metrics.histogram({
    name: 'punica_node_step_seconds',
    help: 'Time of one step of the engine',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5],
  })
  const batchSizes = metrics.histogram({
    name: 'punica_node_batch_size',
    help: 'Sequences of one step',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  })
  const batchAdapters = metrics.histogram({
    name: 'punica_node_batch_adapters',
    help: 'Distinct adapters of one step',
    buckets: [0, 1, 2, 4, 8, 16, 32, 64, 128, 256],
  })
  const ends = metrics.counter({
    name: 'punica_node_ends_total',
    help: 'Requests that ended here, by reason',
    labelNames: ['reason'],
  })
  const refusals = metrics.counter({
    name: 'punica_node_refusals_total',
    help: 'Assignments that were refused, by error code',
    labelNames: ['code'],
  })

  return {
    observeStep: (report: StepReport): void => {
      tokens.inc({ kind: 'prefilled' }, report.numPrefillTokens)
      tokens.inc({ kind: 'generated' }, report.tokens.length)
      steps.observe(report.durationMs / 1_000)
      batchSizes.observe(toBatchSize(report))
      batchAdapters.observe(report.numAdapters)
    },
    observeEnd: ({ reason, byPressure }: End): void =>
      ends.inc({ reason: byPressure ? 'evicted_no_kv_page' : reason }),
    observeReply: (reply: AssignReply): void => {
      if (reply.type === 'refused') refusals.inc({ code: reply.error.code })
    },
  }
}
