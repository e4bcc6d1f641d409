import { createServer } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Metrics } from './metrics.ts'

/** Whether something that the service cannot work without answers at present. */
export type Check = () => Promise<boolean>

/** `role`: where one of several processes does the work and the others stand by, which this is. */
export type Status = { ready: boolean; role: string | null; checks: Map<string, Check> }

const checkMs = 1_500

type Options = {
  host: string
  port: number
  metrics: Metrics
  status: Status
}

/** What the service can do now: 200 and its role, or 503 and what is missing. */
const judge = async ({ ready, role, checks }: Status): Promise<[number, string]> => {
  if (!ready) return [503, 'not ready']
  const results = await Promise.all(
    [...checks].map(async ([name, check]) => {
      const late = delay(checkMs, false, { ref: false })
      return { name, ok: await Promise.race([check().catch(() => false), late]) }
    }),
  )
  const missing = results.filter(({ ok }) => !ok).map(({ name }) => name)
  if (missing.length > 0) return [503, `not ready: ${missing.join(', ')} does not answer`]
  return [200, role === null ? 'ready' : `ready: ${role}`]
}

/**
 * Serves /metrics, /healthz (the process answers) and /readyz (it does its work now). Port 0 picks
 * a free one; the port in use is returned.
 */
export const serveStatus = async ({
  host,
  port,
  metrics,
  status,
}: Options): Promise<{ port: number; close(): Promise<void> }> => {
  const server = createServer((request, response) => {
    switch (request.url) {
      case '/healthz':
        response.end('ok\n')
        break
      case '/readyz':
        void judge(status).then(([code, words]) => response.writeHead(code).end(`${words}\n`))
        break
      case '/metrics':
        metrics.render().then(
          ({ contentType, body }) => response.setHeader('content-type', contentType).end(body),
          () => response.writeHead(500).end(),
        )
        break
      default:
        response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
