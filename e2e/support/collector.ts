import { createServer } from 'node:http'
import { z } from 'zod'

// OTLP over HTTP in JSON, as far as the tests look at it.
const Value = z.object({
  stringValue: z.string().optional(),
  intValue: z.union([z.number(), z.string()]).optional(),
  doubleValue: z.number().optional(),
  boolValue: z.boolean().optional(),
})
const Attributes = z
  .array(z.object({ key: z.string(), value: Value }))
  .default([])
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, plain(value)])))
const OtlpSpan = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  startTimeUnixNano: z.coerce.bigint(),
  endTimeUnixNano: z.coerce.bigint(),
  attributes: Attributes,
  events: z.array(z.object({ name: z.string(), attributes: Attributes })).default([]),
})
const Export = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: Attributes }),
      scopeSpans: z.array(z.object({ spans: z.array(OtlpSpan) })),
    }),
  ),
})

const plain = ({ stringValue, intValue, doubleValue, boolValue }: z.infer<typeof Value>) =>
  stringValue ?? (intValue === undefined ? (doubleValue ?? boolValue) : Number(intValue))

export type CollectedSpan = z.infer<typeof OtlpSpan> & { service: string }

/** A collector of traces, as OpenTelemetry's exporters find it. */
export const startCollector = async () => {
  const spans: CollectedSpan[] = []
  const bodies: string[] = []
  let wake = (): void => {}
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      bodies.push(body)
      for (const { resource, scopeSpans } of Export.parse(JSON.parse(body)).resourceSpans) {
        const service = String(resource.attributes['service.name'])
        spans.push(...scopeSpans.flatMap((s) => s.spans).map((span) => ({ ...span, service })))
      }
      response.setHeader('content-type', 'application/json').end('{}')
      wake()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    /** Everything that was sent, as it came. */
    bodies,
    /** The spans of a trace in the order of their starts, as soon as they are all there by the judgement of `isWhole`. */
    trace: async (
      traceId: string,
      isWhole: (spans: CollectedSpan[]) => boolean,
    ): Promise<CollectedSpan[]> => {
      for (;;) {
        const found = spans
          .filter((span) => span.traceId === traceId)
          .sort((a, b) => (a.startTimeUnixNano < b.startTimeUnixNano ? -1 : 1))
        if (isWhole(found)) return found
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
export type Collector = Awaited<ReturnType<typeof startCollector>>
