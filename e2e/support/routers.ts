import type { System } from './system.ts'
import { until } from './until.ts'

/** The name of the router that leads, once one does. */
export const untilLed = ({ cluster }: Pick<System, 'cluster'>): Promise<string> =>
  until('a leading router', async () => {
    const routers = cluster.services.filter((name) => name.startsWith('router-'))
    const leaders = routers.filter((name) => cluster.service(name).facts.role === 'leader')
    // What the routers say comes between two turns of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    return leaders.length === 1 ? (leaders[0] ?? null) : null
  })
