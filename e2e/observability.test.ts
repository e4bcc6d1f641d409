import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { catalogBucket, leaseBucket, objectBucket } from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CollectedSpan, type Collector, startCollector } from './support/collector.ts'
import { scrape } from './support/metrics.ts'
import { type System, startSystem } from './support/system.ts'

const prompt = 'The zebra keeps my secret umbrella.'

let collector: Collector
let system: System

beforeAll(async () => {
  collector = await startCollector()
  const loud = { LOG_LEVEL: 'trace' }
  const env = {
    ...loud,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '100',
  }
  const settings = { gateway: env, router: env, 'gpu-node': env, 'control-plane': loud }
  system = await startSystem({ settings })
})
afterAll(async () => {
  await system?.stop()
  await collector?.close()
})

/** Asks as a traced client does, and reads the answer to its end; `onChunk` sees it grow. */
const ask = async (
  body: object,
  onChunk: (text: string) => void = () => {},
): Promise<{ traceId: string; spanId: string }> => {
  const traceId = randomBytes(16).toString('hex')
  const spanId = randomBytes(8).toString('hex')
  const response = await fetch(`${system.cluster.gatewayUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${system.keys.globex}`,
      'content-type': 'application/json',
      traceparent: `00-${traceId}-${spanId}-01`,
    },
    body: JSON.stringify({
      model: 'french',
      messages: [{ role: 'user', content: prompt }],
      stream: true,
      ...body,
    }),
  })
  expect(response.status).toBe(200)
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) onChunk(decoder.decode(chunk))
  return { traceId, spanId }
}

const named = (spans: readonly CollectedSpan[], name: string): CollectedSpan[] =>
  spans.filter((span) => span.name === name)

const only = (spans: readonly CollectedSpan[], name: string): CollectedSpan => {
  const found = named(spans, name)
  expect(found, name).toHaveLength(1)
  return found[0] as CollectedSpan
}

test('one trace goes from the client through gateway, router and node', async () => {
  const { traceId, spanId } = await ask({ max_tokens: 12 })
  const isWhole = (spans: CollectedSpan[]) =>
    ['request', 'decode'].every((name) => named(spans, name).length > 0)
  const spans = await collector.trace(traceId, isWhole)

  const request = only(spans, 'request')
  expect(request).toMatchObject({
    service: 'gateway',
    parentSpanId: spanId,
    attributes: { 'punica.tenant': 'globex', 'gen_ai.request.model': 'french' },
    events: [{ name: 'first_token' }],
  })
  const place = only(spans, 'place')
  const parents = [
    ['tokenise', 'gateway', request],
    ['queue', 'router', request],
    ['place', 'router', request],
    ['load_adapter', 'gpu-node', place],
    ['prefill', 'gpu-node', place],
    ['decode', 'gpu-node', place],
  ] as const
  for (const [name, service, parent] of parents) {
    expect(only(spans, name)).toMatchObject({ service, parentSpanId: parent.spanId })
  }
  expect(spans).toHaveLength(7)
  expect(place.attributes).toMatchObject({
    'punica.node': expect.stringMatching(/^node-/),
    'punica.reason': expect.any(String),
  })
  const order = ['queue', 'place', 'load_adapter', 'prefill', 'decode']
  const starts = order.map((name) => only(spans, name).startTimeUnixNano)
  expect(starts.toSorted((a, b) => Number(a - b))).toEqual(starts)
})

test('a request whose node stops shows the move, and both nodes in its trace', async () => {
  let stopped: Promise<unknown> | undefined
  const stop = (text: string): void => {
    const node = /"node":"(node-\d)"/.exec(text)?.[1]
    if (stopped !== undefined || node === undefined) return
    const service = system.cluster.service(node)
    stopped = service.untilRestarted()
    service.kill('SIGTERM')
  }
  const { traceId } = await ask(
    { max_tokens: 600, ignore_eos: true, temperature: 1, seed: 3 },
    stop,
  )
  await stopped
  const spans = await collector.trace(
    traceId,
    (found) => named(found, 'request').length === 1 && named(found, 'decode').length === 2,
  )
  const [move] = only(spans, 'request').events.filter(({ name }) => name === 'moved')
  expect(move?.attributes).toMatchObject({ 'punica.attempt': 1, 'punica.reason': 'evicted' })
  const numMoved = Number(move?.attributes['punica.generated_tokens'])
  const [first, second] = named(spans, 'decode').map(({ attributes }) => attributes)
  expect(first).toMatchObject({ 'punica.end_reason': 'evicted', 'punica.new_tokens': numMoved })
  expect(second).toMatchObject({
    'punica.end_reason': 'length',
    'punica.new_tokens': 600 - numMoved,
  })
  const nodes = named(spans, 'place').map(({ attributes }) => attributes['punica.node'])
  expect(new Set(nodes).size).toBe(2)
})

const words = prompt.match(/\w{5,}/g) ?? []

test('no word of a prompt is in any span', () => {
  const all = collector.bodies.join('')
  for (const word of words) expect(all).not.toContain(word)
  expect(all).not.toContain('<|user|>')
})

test('logs name the call and its tenant, and no level has a word of its prompt', async () => {
  // What is refused is the likeliest to be written down.
  const body = { model: 'french', messages: [{ role: 'user', content: prompt }], max_tokens: 1e6 }
  const refused = await fetch(`${system.cluster.gatewayUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${system.keys.globex}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(body),
  })
  expect(refused.status).toBe(400)
  const folder = path.join(system.cluster.dataFolder, 'logs')
  const files = await readdir(folder)
  const texts = await Promise.all(files.map((file) => readFile(path.join(folder, file), 'utf8')))
  expect(files).toEqual(expect.arrayContaining(['gateway.log', 'control-plane.log', 'node-1.log']))
  const all = texts.join('\n')
  for (const word of words) expect(all).not.toContain(word)
  const requestId = refused.headers.get('x-request-id')
  const line = all.split('\n').find((text) => text.includes(`"requestId":"${requestId}"`))
  expect(JSON.parse(line ?? '{}')).toMatchObject({
    name: 'gateway',
    tenant: 'globex',
    outcome: 'context_length_exceeded',
    msg: 'call ended',
  })
})

test('dashboard, alerts and documents name metrics that the services export', async () => {
  const page = await scrape(system, system.cluster.services)
  const exported = new Set([...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name))
  const buckets = [catalogBucket, leaseBucket, objectBucket]
  for (const file of [
    'deploy/grafana/punica.json',
    'deploy/prometheus/alerts.yaml',
    'docs/operations.md',
  ]) {
    const text = await readFile(fileURLToPath(new URL(`../${file}`, import.meta.url)), 'utf8')
    const found = text.match(/\b(?:punica|nodejs|process)_[a-z0-9_]+/g) ?? []
    const named = found.filter((name) => !buckets.includes(name))
    expect(named.length).toBeGreaterThan(0)
    const missing = named.filter(
      (name) => !exported.has(name) && !exported.has(name.replace(/_(bucket|sum|count)$/, '')),
    )
    expect(missing, file).toEqual([])
  }
})
