import { expect, test } from 'vitest'
import { type Check, type Facts, judge } from './judge.ts'

const healthy: Facts = {
  nodeVersion: 'v20.20.2',
  compiler: 'g++ 12.2',
  cmake: 'cmake 3.25',
  isEngineBuilt: true,
  nvcc: 'nvcc 13.0',
  gpus: { names: ['NVIDIA H100'], driver: '580.1' },
  isCudaBackendBuilt: true,
  natsServer: 'nats-server 2.9.10',
  natsUrl: null,
  databaseUrl: null,
  hasEmbeddedPostgres: true,
  systemPostgres: null,
  ports: [{ port: 8000, what: 'gateway', option: '--port', isFree: true }],
  isUp: false,
  diskFreeBytes: 50e9,
  memoryBytes: 16e9,
}

const verdictOf = (changes: Partial<Facts>, name: string): Check | undefined =>
  judge({ ...healthy, ...changes }).find((check) => check.name === name)

test('a machine that has everything has nothing to do', () => {
  for (const check of judge(healthy)) expect(check).toMatchObject({ verdict: 'ok', advice: null })
})

test.each<[string, Partial<Facts>, string, Check['verdict'], RegExp]>([
  ['an old Node', { nodeVersion: 'v20.18.3' }, 'Node.js', 'fail', /20\.19/],
  ['no compiler', { compiler: null }, 'C++ compiler', 'fail', /apt-get install g\+\+/],
  ['no CMake', { cmake: null }, 'CMake', 'fail', /cmake/],
  ['an engine that is not built', { isEngineBuilt: false }, 'engine', 'fail', /npm run build/],
  ['no GPU', { gpus: null }, 'CUDA', 'warn', /nvidia-smi/],
  ['no nvcc', { isCudaBackendBuilt: false, nvcc: null }, 'CUDA', 'warn', /toolkit/],
  ['a backend that is not built', { isCudaBackendBuilt: false }, 'CUDA', 'warn', /npm run build/],
  ['no nats-server', { natsServer: null }, 'nats-server', 'fail', /NATS_URL/],
  ['no Postgres', { hasEmbeddedPostgres: false }, 'Postgres', 'fail', /DATABASE_URL/],
  ['little disk', { diskFreeBytes: 2e9 }, 'disk', 'warn', /--data/],
  ['no disk', { diskFreeBytes: 1e8 }, 'disk', 'fail', /--data/],
  ['little memory', { memoryBytes: 1e9 }, 'memory', 'fail', /--nodes 1/],
])('%s is told with what to do', (_, changes, name, verdict, advice) => {
  expect(verdictOf(changes, name)).toMatchObject({
    verdict,
    advice: expect.stringMatching(advice),
  })
})

test('a server of somebody else’s stands in for an embedded one', () => {
  const natsUrl = 'nats://nats:4222'
  expect(verdictOf({ natsServer: null, natsUrl }, 'nats-server')?.verdict).toBe('ok')
  const own = { hasEmbeddedPostgres: false, databaseUrl: 'postgres://db' }
  expect(verdictOf(own, 'Postgres')?.verdict).toBe('ok')
})

test('a port in use is a matter for advice, but for the one of a running system', () => {
  const ports = [{ port: 8000, what: 'gateway', option: '--port', isFree: false }]
  expect(verdictOf({ ports }, 'port 8000')).toMatchObject({
    verdict: 'warn',
    advice: expect.stringContaining('punica up --port 0'),
  })
  expect(verdictOf({ ports, isUp: true }, 'port 8000')?.verdict).toBe('ok')
})
