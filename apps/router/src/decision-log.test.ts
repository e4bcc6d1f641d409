import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createScheduler, readLog, type SchedulerEvent, toLogged } from '@punica/scheduler'
import type { NodeStatus, Task } from '@punica/schema'
import { pino } from '@punica/service'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDecisionLog } from './decision-log.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'punica-decisions-'))
})
afterAll(() => rm(folder, { recursive: true }))

const scheduler = {
  pool: 'default',
  baseModel: null,
  maxQueue: 10,
  heartbeatTimeoutMs: 3_000,
  maxRefusals: 5,
  consolidationIntervalMs: 1_000,
}

const node: NodeStatus = {
  nodeId: 'n1',
  pool: 'default',
  incarnation: 'first',
  state: 'ready',
  timeMs: 0,
  baseModel: 'base',
  hardware: { backend: 'cpu', description: 'test', memoryBytes: 0 },
  maxBatchSize: 1,
  maxContext: 64,
  pageSize: 16,
  pageBytes: 100,
  numPages: 64,
  freePages: 64,
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

const secret = 31_337
const task = (requestId: string): Task => ({
  requestId,
  attempt: 0,
  gatewayId: 'gw',
  tenant: 'acme',
  adapter: null,
  tokens: [secret, secret, secret],
  numPromptTokens: 3,
  maxNewTokens: 8,
  stopTokens: [],
  ignoreEos: false,
  sampling: { seed: 0 },
  arrivalMs: 0,
  deadlineMs: 60_000,
})

const events: SchedulerEvent[] = [
  { nowMs: 0, type: 'nodeReported', status: node },
  { nowMs: 1, type: 'submitted', task: task('r1') },
  { nowMs: 2, type: 'submitted', task: task('r2') },
  { nowMs: 3, type: 'tick' },
]

const record = async (name: string, maxBytes: number): Promise<string> => {
  const log = pino({ level: 'silent' })
  const recording = await openDecisionLog({ folder, name, maxBytes, scheduler, log })
  const running = createScheduler(scheduler)
  for (const event of events) recording.record(event, running.handle(event))
  await recording.close()
  return path.join(folder, `${name}.jsonl`)
}

test('a recording gives the same decisions again, and holds no token of a prompt', async () => {
  const text = await readFile(await record('whole', 1e6), 'utf8')
  expect(text).not.toContain(String(secret))
  const { options, steps } = readLog(text.trimEnd().split('\n'))
  expect(steps).toHaveLength(events.length)
  const again = createScheduler(options)
  for (const { event, commands } of steps) {
    expect(JSON.parse(JSON.stringify(toLogged(again.handle(event))))).toEqual(commands)
  }
})

test('a recording ends at its bound, with whole lines', async () => {
  const file = await record('bounded', 1_500)
  expect((await stat(file)).size).toBeLessThanOrEqual(1_500)
  const { steps } = readLog((await readFile(file, 'utf8')).trimEnd().split('\n'))
  expect(steps.length).toBeGreaterThan(0)
  expect(steps.length).toBeLessThan(events.length)
  expect(await readdir(folder)).toContain('bounded.jsonl')
})
