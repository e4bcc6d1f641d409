import { once } from 'node:events'
import { createServer, request } from 'node:http'

export type StallingProxy = {
  url: string
  /** The next PUT passes so many bytes and no more. Resolves when they have passed. */
  stallNextPut(numBytes: number): Promise<void>
  /** Content-Range of each PUT of weights, null where there was none. */
  ranges: (string | null)[]
  close(): void
}

/** An HTTP proxy before a server, whose uploads can be made to get stuck. */
export const startStallingProxy = async (target: string): Promise<StallingProxy> => {
  const ranges: (string | null)[] = []
  let stall: { numBytes: number; onStalled(): void } | null = null
  const server = createServer((incoming, outgoing) => {
    const { method, headers, url = '/' } = incoming
    const isPut = method === 'PUT' && url.endsWith('.safetensors')
    if (isPut) ranges.push(headers['content-range'] ?? null)
    const upstream = request(`${target}${url}`, { method, headers })
    upstream.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(outgoing)
    })
    upstream.on('error', () => outgoing.destroy())
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) upstream.destroy()
    })
    if (!isPut || stall === null) return void incoming.pipe(upstream)
    const { numBytes, onStalled } = stall
    stall = null
    let left = numBytes
    incoming.on('data', (chunk: Buffer) => {
      const part = chunk.subarray(0, left)
      left -= part.length
      if (part.length > 0) upstream.write(part)
      if (left === 0) onStalled()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    ranges,
    stallNextPut: (numBytes) =>
      new Promise((resolve) => {
        stall = { numBytes, onStalled: resolve }
      }),
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
