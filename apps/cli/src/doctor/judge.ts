import { formatBytes } from '../terminal/format.ts'

/** What was found on this machine. null: it is not there. */
export type Facts = {
  nodeVersion: string
  compiler: string | null
  cmake: string | null
  /** Whether `npm run build` has made the engine. */
  isEngineBuilt: boolean
  nvcc: string | null
  /** Names of the GPUs and version of the driver, as nvidia-smi has them. */
  gpus: { names: readonly string[]; driver: string } | null
  isCudaBackendBuilt: boolean
  natsServer: string | null
  /** A running server that the environment names. */
  natsUrl: string | null
  databaseUrl: string | null
  hasEmbeddedPostgres: boolean
  systemPostgres: string | null
  ports: readonly { port: number; what: string; option: string; isFree: boolean }[]
  /** Whether a `punica up` runs on the data folder; it has its ports. */
  isUp: boolean
  diskFreeBytes: number
  memoryBytes: number
}

export type Check = {
  name: string
  verdict: 'ok' | 'warn' | 'fail'
  detail: string
  /** What to do; null: nothing. */
  advice: string | null
}

const minDiskBytes = 1e9
const goodDiskBytes = 5e9
/** The demo's processes with two nodes. */
const minMemoryBytes = 2e9
const goodMemoryBytes = 4e9

/** What of the facts keeps the system from running here, and what to do about it. */
export const judge = (facts: Facts): Check[] => [
  judgeNode(facts),
  facts.compiler === null
    ? fail(
        'C++ compiler',
        'none',
        'Install one (Debian, Ubuntu: apt-get install g++ make; macOS: xcode-select --install).',
      )
    : ok('C++ compiler', facts.compiler),
  facts.cmake === null
    ? fail(
        'CMake',
        'none',
        'Install it (Debian, Ubuntu: apt-get install cmake; macOS: brew install cmake).',
      )
    : ok('CMake', facts.cmake),
  facts.isEngineBuilt
    ? ok('engine', 'built')
    : fail('engine', 'not built', 'Run: npm ci && npm run build'),
  judgeCuda(facts),
  judgeNats(facts),
  judgePostgres(facts),
  ...facts.ports.map((port) => judgePort(port, facts)),
  atLeast(
    'disk',
    facts.diskFreeBytes,
    [minDiskBytes, goodDiskBytes],
    'Make room, or name a folder elsewhere with --data.',
  ),
  atLeast(
    'memory',
    facts.memoryBytes,
    [minMemoryBytes, goodMemoryBytes],
    'Start fewer nodes: punica up --nodes 1',
  ),
]

const ok = (name: string, detail: string): Check => ({ name, verdict: 'ok', detail, advice: null })
const warn = (name: string, detail: string, advice: string): Check => ({
  name,
  verdict: 'warn',
  detail,
  advice,
})
const fail = (name: string, detail: string, advice: string): Check => ({
  name,
  verdict: 'fail',
  detail,
  advice,
})

const judgeNode = ({ nodeVersion }: Facts): Check => {
  const [major = 0, minor = 0] = nodeVersion.replace(/^v/, '').split('.').map(Number)
  const isNew = major > 20 || (major === 20 && minor >= 19)
  return isNew
    ? ok('Node.js', nodeVersion)
    : fail('Node.js', nodeVersion, 'Punica needs 20.19 or newer: https://nodejs.org')
}

/** Without a GPU everything runs on the CPU, so nothing of it is a failure. */
const judgeCuda = ({ gpus, nvcc, isCudaBackendBuilt }: Facts): Check => {
  if (gpus === null) {
    return warn(
      'CUDA',
      'no GPU with a driver; nodes run on the CPU',
      'For GPUs, install NVIDIA’s driver and see that nvidia-smi lists them.',
    )
  }
  const seen = `${gpus.names.join(', ')} (driver ${gpus.driver})`
  if (isCudaBackendBuilt) return ok('CUDA', seen)
  if (nvcc === null) {
    return warn(
      'CUDA',
      `${seen}, but no nvcc`,
      'Install the CUDA toolkit, see that nvcc is on the PATH, then: npm run build',
    )
  }
  return warn('CUDA', `${seen}, ${nvcc}, but the backend is not built`, 'Run: npm run build')
}

const judgeNats = ({ natsUrl, natsServer }: Facts): Check => {
  if (natsUrl !== null) return ok('nats-server', `of NATS_URL, ${natsUrl}`)
  if (natsServer !== null) return ok('nats-server', natsServer)
  return fail(
    'nats-server',
    'none',
    'Install it (Debian, Ubuntu: apt-get install nats-server; macOS: brew install nats-server), or name its binary in NATS_SERVER_BIN or a running one in NATS_URL.',
  )
}

const judgePostgres = ({ databaseUrl, hasEmbeddedPostgres, systemPostgres }: Facts): Check => {
  if (databaseUrl !== null) return ok('Postgres', 'of DATABASE_URL')
  if (hasEmbeddedPostgres) return ok('Postgres', 'embedded')
  if (systemPostgres !== null) return ok('Postgres', systemPostgres)
  return fail(
    'Postgres',
    'none for this platform',
    'Run npm ci again with optional packages, install Postgres, or name a running one in DATABASE_URL.',
  )
}

const judgePort = (
  { port, what, option, isFree }: Facts['ports'][number],
  { isUp }: Facts,
): Check => {
  const name = `port ${port}`
  if (isFree) return ok(name, `free for the ${what}`)
  if (isUp) return ok(name, `in use; a \`punica up\` runs`)
  return warn(
    name,
    'in use by another program',
    `Start with another one for the ${what}: punica up ${option} 0 takes any free one.`,
  )
}

const atLeast = (
  name: string,
  bytes: number,
  [min, good]: readonly [number, number],
  advice: string,
): Check => {
  const detail = formatBytes(bytes)
  if (bytes >= good) return ok(name, detail)
  return bytes >= min
    ? warn(name, `${detail}; ${formatBytes(good)} are better`, advice)
    : fail(name, `${detail}; at least ${formatBytes(min)} are needed`, advice)
}
