// Uploads and publishes an adapter of 2 GB to a control plane of its own, over a real Postgres and a
// real nats-server, and prints how much memory that process has held at most. Linux only.
//   npm run upload -w bench -- [bytes]
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { connectBus } from '@punica/bus'
import { startNatsServer } from '@punica/bus/testing'
import { startPostgres } from '@punica/embedded'
import { channels, type NodeStatus } from '@punica/schema'
import { type LargeAdapter, makeLargeAdapter, modelConfig } from './large-adapter.ts'

const maxMemoryBytes = 200e6
const key = `pk_${'a'.repeat(12)}_${'b'.repeat(43)}`

const main = async (numBytes: number): Promise<void> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'punica-bench-'))
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(modelConfig))
  const postgres = await startPostgres({ folder: path.join(folder, 'postgres'), durable: true })
  const nats = await startNatsServer()
  const bus = await connectBus({ url: nats.url })
  const child = await startControlPlane({ folder, database: postgres.url, nats: nats.url })
  try {
    bus.serve(channels.probe('bench'), () => ({
      type: 'passed' as const,
      report: { maxLogprobChange: 1, changedTokens: 1, numTokens: 1 },
    }))
    const report = { type: 'status' as const, status: nodeStatus }
    const beats = setInterval(() => bus.publish(channels.nodeEvents('default'), report), 500)
    const peak = await measure(child, makeLargeAdapter(numBytes))
    clearInterval(beats)
    const verdict = peak <= maxMemoryBytes ? 'within' : 'OVER'
    console.log(`${verdict} the ${toMegabytes(maxMemoryBytes)} allowed`)
    if (peak > maxMemoryBytes) process.exitCode = 1
  } finally {
    child.process.kill()
    await bus.close()
    await nats.stop()
    await postgres.stop()
    await rm(folder, { recursive: true })
  }
}

type ControlPlane = { process: ChildProcess; url: string }

const startControlPlane = async (at: {
  folder: string
  database: string
  nats: string
}): Promise<ControlPlane> => {
  const main = fileURLToPath(new URL('../../apps/control-plane/src/main.ts', import.meta.url))
  const child = fork(main, {
    execArgv: ['--import', 'tsx'],
    env: {
      PATH: '/usr/bin:/bin',
      // As the launcher does (apps/cli/src/launch/cluster.ts).
      MALLOC_ARENA_MAX: '1',
      MALLOC_TRIM_THRESHOLD_: '65536',
      NODE_OPTIONS: '--max-semi-space-size=2',
      LOG_LEVEL: 'warn',
      DATABASE_URL: at.database,
      NATS_URL: at.nats,
      OPERATOR_KEY: key,
      MODEL_FOLDER: at.folder,
      BASE_MODEL: 'llama',
      PORT: '0',
    },
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message: { url: string }) => resolve(message.url))
    child.once('exit', (code) => reject(new Error(`the control plane ended with ${code}`)))
  })
  return { process: child, url }
}

/** Uploads, publishes, and returns the most memory that it took, in bytes. */
const measure = async (
  { process: child, url }: ControlPlane,
  adapter: LargeAdapter,
): Promise<number> => {
  const show = async (what: string, beganMs: number, numBytes: number): Promise<number> => {
    const seconds = (performance.now() - beganMs) / 1000
    const { now, peak } = await memoryOf(child)
    const rate = numBytes === 0 ? '' : `${toMegabytes(numBytes / seconds)}/s`
    const cells = [what, `${seconds.toFixed(1)} s`, rate, toMegabytes(now), toMegabytes(peak)]
    console.log(`| ${cells.join(' | ')} |`)
    return peak
  }
  console.log('| step | time | rate | memory after | most until then |')
  console.log('| --- | --- | --- | --- | --- |')
  const start = performance.now()
  await mutate(url, 'createTenant', '__typename', { slug: 'acme', name: 'Acme' })
  await show('started', start, 0)
  const opened = await mutate<{ upload: { id: string } }>(
    url,
    'createAdapterUpload',
    'upload { id }',
    { tenant: 'acme', name: 'large', baseModel: 'llama' },
  )
  const files = `${url}/uploads/${opened.upload.id}`
  await put(`${files}/adapter_config.json`, Readable.from([adapter.config]), adapter.config.length)
  const put0 = performance.now()
  const weights = Readable.from(adapter.weights(0))
  await put(`${files}/adapter_model.safetensors`, weights, adapter.weightsBytes)
  await show(`PUT of ${toMegabytes(adapter.weightsBytes)}`, put0, adapter.weightsBytes)
  const publish0 = performance.now()
  const input = { uploadId: opened.upload.id }
  await mutate(url, 'publishAdapter', 'version { digest }', input)
  return show('published', publish0, adapter.weightsBytes)
}

const mutate = async <T>(url: string, name: string, fields: string, input: object): Promise<T> => {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
  const query = `mutation ($input: ${type}Input!) { result: ${name}(input: $input) {
    ... on ${type}Payload { ${fields} } ... on ProblemError { code message } } }`
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query, variables: { input } }),
  })
  const { data, errors } = await response.json()
  const problem = errors?.[0] ?? (data.result.code === undefined ? undefined : data.result)
  if (problem !== undefined) throw new Error(`${name}: ${problem.message}`)
  return data.result
}

const put = async (url: string, body: Readable, length: number): Promise<void> => {
  const headers = { authorization: `Bearer ${key}`, 'content-length': length }
  const sending = request(url, { method: 'PUT', headers })
  const answered = new Promise<string>((resolve, reject) => {
    sending.once('error', reject)
    sending.once('response', async (response) => {
      const text = (await response.toArray()).join('')
      if (response.statusCode === 200) resolve(text)
      else reject(new Error(`PUT: ${response.statusCode} ${text}`))
    })
  })
  await Promise.all([pipeline(body, sending), answered])
}

/** Resident memory now and at most, of the process itself, in bytes. */
const memoryOf = async ({ pid }: ChildProcess): Promise<{ now: number; peak: number }> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const read = (field: string): number =>
    1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  return { now: read('VmRSS'), peak: read('VmHWM') }
}

const toMegabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`

const nodeStatus: NodeStatus = {
  nodeId: 'bench',
  pool: 'default',
  incarnation: '1',
  state: 'ready',
  timeMs: 0,
  baseModel: 'llama',
  hardware: { backend: 'cpu', description: 'answers probes', memoryBytes: 0 },
  maxBatchSize: 1,
  maxContext: 4096,
  pageSize: 16,
  pageBytes: 1,
  numPages: 1,
  freePages: 1,
  kvPages: 0,
  adapterPages: 0,
  requests: [],
  adapters: [],
  counters: {
    steps: 0,
    promptTokens: 0,
    generatedTokens: 0,
    maxAdaptersInBatch: 0,
    adaptersInBatch: 0,
    batchSize: 0,
    stepMs: 0,
  },
}

await main(Number(process.argv[2] ?? 2e9))
