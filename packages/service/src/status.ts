import { createServer } from 'node:http'
import type { Metrics } from './metrics.ts'

/** `role`: where one of several processes does the work and the others stand by, which this is. */
export type Status = { ready: boolean; role: string | null }

type Options = {
  host: string
  port: number
  metrics: Metrics
  status: Readonly<Status>
}

const toWords = ({ ready, role }: Readonly<Status>): string => {
  if (!ready) return 'not ready'
  return role === null ? 'ready' : `ready: ${role}`
}

/**
 * Serves /metrics, /health (the process answers) and /ready (it does its work). Port 0 picks a
 * free one; the port in use is returned.
 */
export const serveStatus = async ({
  host,
  port,
  metrics,
  status,
}: Options): Promise<{ port: number; close(): Promise<void> }> => {
  const server = createServer((request, response) => {
    switch (request.url) {
      case '/health':
        response.end('ok\n')
        break
      case '/ready':
        response.statusCode = status.ready ? 200 : 503
        response.end(`${toWords(status)}\n`)
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
