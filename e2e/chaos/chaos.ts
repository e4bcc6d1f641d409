import { untilIdle } from '../support/nodes.ts'
import { mixedStreams, readAlone, type StreamSpec } from '../support/streams.ts'
import { adapters, type System, startSystem } from '../support/system.ts'
import { until } from '../support/until.ts'
import { type Kills, killUntilDone, type Victim } from './killer.ts'
import { type Load, startLoad } from './load.ts'
import { startMover } from './mover.ts'
import { type Observer, observePool } from './observer.ts'
import { createRandom } from './random.ts'

export type ChaosOptions = {
  seed: number
  /** Requests that are made to leave a node while they run. */
  numMoves: number
  /** Processes that are ended by SIGKILL. */
  numKills: number
  /** Streams at a time. */
  concurrency?: number
  /** Of the streams, in tokens. */
  lengths?: readonly number[]
  onProgress?: (text: string) => void
}

export type ChaosReport = {
  seed: number
  durationS: number
  streams: number
  tokens: number
  movedStreams: number
  moves: number
  pressureEvictions: number
  drains: number
  decisions: Record<string, number>
  kills: Record<string, number>
  numKilled: number
  takeoverMs: Kills['takeoverMs']
  /** Beyond those whose leader was ended or put to sleep. */
  needlessLeaderChanges: number
  usage: { tenant: string; told: Usage; billed: Usage | null }[]
  violations: string[]
}

type Usage = { requests: number; promptTokens: number; generatedTokens: number }

const settings = {
  // Small batches and few pages: requests spread over the nodes and run short of room.
  'gpu-node': { MAX_BATCH_SIZE: '8', POOL_BYTES: String(16 * 1024 ** 2) },
  // Planned moves come as often as the policy can be made to order them.
  router: { MIN_MOVE_INTERVAL_MS: '200', CONSOLIDATION_INTERVAL_MS: '1000' },
}
const defaultLengths = [120, 250, 400]
const billedMs = 120_000

/**
 * Runs streams under forced moves and ends of processes, all chosen from the seed, on a system of
 * its own; compares each stream with its undisturbed run, and what is billed with what clients were
 * told. It throws only where it cannot go on; what it finds wrong is in `violations`.
 */
export const runChaos = async (options: ChaosOptions): Promise<ChaosReport> => {
  const { onProgress = () => {} } = options
  const ends: string[] = []
  const system = await startSystem({
    numNodes: 3,
    numRouters: 2,
    maxRestartDelayMs: 250,
    settings,
    onProgress: (text) => {
      if (text.includes(' ended with ')) ends.push(text)
    },
  })
  try {
    const observer = await observePool(system)
    onProgress('the system is up; running every stream alone')
    const report = await disturb(system, observer, options)
    await observer.close()
    if (ends.length > report.numKilled) {
      const [text = ''] = ends.filter((end) => !end.includes('SIGKILL'))
      report.violations.push(
        `${ends.length} processes ended, ${report.numKilled} were killed: ${text}`,
      )
    }
    return report
  } finally {
    await system.stop()
  }
}

const disturb = async (
  system: System,
  observer: Observer,
  options: ChaosOptions,
): Promise<ChaosReport> => {
  const { seed, numMoves, numKills, onProgress = () => {} } = options
  const { concurrency = 16, lengths = defaultLengths } = options
  const specs = lengths.flatMap((length) => mixedStreams(length))
  const undisturbed = await readAlone(system, specs)
  const startMs = performance.now()
  const load = startLoad({
    system,
    specs,
    undisturbed,
    concurrency,
    random: createRandom(seed),
    tenantOf,
  })
  // Moves go on for as long as processes are ended, however long that takes.
  let numKilled = 0
  const allowedMoves = (): number =>
    numKilled >= numKills ? numMoves : ((numKilled + 1) / numKills) * numMoves
  const mover = startMover(observer, createRandom(seed + 1), allowedMoves)
  const progress = setInterval(() => {
    onProgress(
      `${observer.numMoves()} moves, ${load.numStreams()} streams, ${load.violations.length} violations`,
    )
  }, 10_000)
  try {
    const onAct = (victim: Victim): void => {
      onProgress(`after ${observer.numMoves()} moves and ${numKilled} kills: ${victim}`)
    }
    const onDone = (numDone: number): void => {
      numKilled = numDone
    }
    const random = createRandom(seed + 2)
    const kills = await killUntilDone({
      system,
      observer,
      random,
      numKills,
      numMoves,
      onAct,
      onDone,
    })
    await observer.until(() => observer.numMoves() >= numMoves)
    mover.stop()
    await load.finish()
    const durationS = (performance.now() - startMs) / 1_000
    await untilIdle(system)
    return await toReport({
      system,
      observer,
      load,
      kills,
      numDrains: mover.numDrains(),
      seed,
      durationS,
    })
  } finally {
    clearInterval(progress)
    mover.stop()
  }
}

const tenantOf = ({ adapter }: StreamSpec): string => adapters[adapter]

type Parts = {
  system: System
  observer: Observer
  load: Load
  kills: Kills
  numDrains: number
  seed: number
  durationS: number
}

const toReport = async (parts: Parts): Promise<ChaosReport> => {
  const { system, observer, load, kills, numDrains, seed, durationS } = parts
  const usage = await compareUsage(system, load)
  const { counts, takeoverMs } = kills
  const kinds = ['place', 'move', 'evict', 'interrupt', 'drain', 'cancel'] as const
  return {
    seed,
    durationS,
    streams: load.numStreams(),
    tokens: load.numTokens(),
    movedStreams: load.numMoved(),
    moves: observer.numMoves(),
    pressureEvictions: observer.numPressed(),
    drains: numDrains,
    decisions: Object.fromEntries(kinds.map((kind) => [kind, observer.numDecisions(kind)])),
    kills: Object.fromEntries(counts),
    numKilled: [...counts].reduce((sum, [victim, number]) => sum + number * numEnded(victim), 0),
    takeoverMs,
    needlessLeaderChanges: countNeedless(observer, kills),
    usage,
    violations: [
      ...load.violations.map(({ stream, spec, what }) => {
        return `stream ${stream} (${spec.adapter}, seed ${spec.seed}): ${what}`
      }),
      ...usage
        .filter(({ told, billed }) => !isEqual(told, billed))
        .map((each) => `usage: ${JSON.stringify(each)}`),
    ],
  }
}

const countNeedless = ({ reigns }: Observer, { counts }: Kills): number => {
  const causes = ['leader', 'leader and node', 'paused leader'] as const
  const numCaused = causes.reduce((sum, cause) => sum + (counts.get(cause) ?? 0), 0)
  return reigns.length - 1 - numCaused
}

const numEnded = (victim: Victim): number => {
  if (victim === 'paused leader') return 0
  return victim === 'leader and node' ? 2 : 1
}

/** What clients were told against what the control plane has counted, once it has caught up. */
const compareUsage = async (system: System, load: Load): Promise<ChaosReport['usage']> => {
  const compare = async (): Promise<ChaosReport['usage']> => {
    const billed = await readUsage(system)
    return [...load.usage].map(([tenant, told]) => ({
      tenant,
      told,
      billed: billed.get(tenant) ?? null,
    }))
  }
  const holds = async () => {
    const usage = await compare()
    return usage.every(({ told, billed }) => isEqual(told, billed)) ? usage : null
  }
  return until('exact usage', holds, billedMs).catch(compare)
}

const isEqual = (told: Usage, billed: Usage | null): boolean =>
  billed !== null &&
  told.requests === billed.requests &&
  told.promptTokens === billed.promptTokens &&
  told.generatedTokens === billed.generatedTokens

const readUsage = async ({ operator }: System): Promise<Map<string, Usage>> => {
  const dayMs = 24 * 3_600_000
  const filter = {
    from: new Date(Date.now() - dayMs).toISOString(),
    to: new Date(Date.now() + dayMs).toISOString(),
  }
  type Row = { key: string } & Record<keyof Usage, number | string>
  const { usageTotals } = await operator.graphql<{ usageTotals: Row[] }>(
    `query Usage($filter: UsageFilter!) {
      usageTotals(filter: $filter, by: TENANT) { key requests promptTokens generatedTokens }
    }`,
    { filter },
  )
  return new Map(
    usageTotals.map(({ key, requests, promptTokens, generatedTokens }) => [
      key,
      {
        requests: Number(requests),
        promptTokens: Number(promptTokens),
        generatedTokens: Number(generatedTokens),
      },
    ]),
  )
}
