import type { Bus } from '@punica/bus'
import { channels } from '@punica/schema'
import type { Refusals } from '@punica/service'
import { createPoolReports, type PoolReports } from './pool-reports.ts'

type Deps = { bus: Pick<Bus, 'subscribe'>; refusals: Pick<Refusals, 'refuse'> }

/** Follows what routers and gateways tell of all pools. */
export const watchPools = ({
  bus,
  refusals,
}: Deps): Pick<PoolReports, 'read'> & { stop(): void } => {
  const reports = createPoolReports()
  const stop = bus.subscribe(channels.poolReports('*'), (report, { subject }) => {
    const pool = subject.split('.')[2] ?? ''
    if (!reports.handle(pool, report, Date.now())) refusals.refuse(subject, 'stale_epoch')
  })
  return { read: reports.read, stop }
}
