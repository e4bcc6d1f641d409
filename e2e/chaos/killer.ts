import type { System } from '../support/system.ts'
import { until } from '../support/until.ts'
import type { Observer } from './observer.ts'
import type { Random } from './random.ts'

export type Victim =
  | 'node'
  | 'leader'
  | 'nats-server'
  | 'leader and node'
  | 'standby'
  | 'control-plane'
  | 'paused leader'

/** What is ended, with its share of the ends. */
const victims: readonly [Victim, number][] = [
  ['node', 45],
  ['leader', 20],
  ['nats-server', 15],
  ['leader and node', 10],
  ['standby', 5],
  ['control-plane', 5],
]

/** Of ends, one in so many is followed by a leader that is put to sleep and wakes up replaced. */
const pauseChance = 0.08

export type Kills = {
  /** Processes that were ended by SIGKILL, and leaders that were put to sleep. */
  counts: Map<Victim, number>
  /** Time from the end of a leader to the word, and to the first placement, of the next; ms. */
  takeoverMs: { announced: number; placed: number }[]
}

type KillerOptions = {
  system: Pick<System, 'cluster'>
  observer: Observer
  random: Random
  numKills: number
  numMoves: number
  /** Told before each act. */
  onAct: (victim: Victim) => void
  /** Told how many processes have been ended and are back. */
  onDone: (numDone: number) => void
}

/**
 * Ends processes with SIGKILL, spread over the moves: the next one when the pool works again and has
 * had its share of moves. Resolves after the last, when everything is back.
 */
export const killUntilDone = async (options: KillerOptions): Promise<Kills> => {
  const { system, observer, random, numKills, numMoves, onAct, onDone } = options
  const kills: Kills = { counts: new Map(), takeoverMs: [] }
  const act = createActs(system, observer, random, kills)
  let numDone = 0
  while (numDone < numKills) {
    const dueMoves = ((numDone + random.next()) / numKills) * numMoves
    await observer.until(() => observer.numMoves() >= dueMoves || observer.numMoves() >= numMoves)
    const victim = numKills - numDone < 2 ? 'node' : pickVictim(random)
    await untilWorking(system, observer)
    onAct(victim)
    numDone += await act(victim)
    onDone(numDone)
    count(kills, victim)
    if (random.next() >= pauseChance) continue
    await untilWorking(system, observer)
    onAct('paused leader')
    await act('paused leader')
    count(kills, 'paused leader')
  }
  await untilWorking(system, observer)
  return kills
}

const count = ({ counts }: Kills, victim: Victim): void => {
  counts.set(victim, (counts.get(victim) ?? 0) + 1)
}

const pickVictim = (random: Random): Victim => {
  let left = random.next() * victims.reduce((sum, [, share]) => sum + share, 0)
  for (const [victim, share] of victims) {
    left -= share
    if (left < 0) return victim
  }
  return 'node'
}

const routersOf = ({ cluster }: Pick<System, 'cluster'>, role: 'leader' | 'standby'): string[] =>
  cluster.services.filter(
    (name) => name.startsWith('router-') && cluster.service(name).facts.role === role,
  )

/** One router leads, another stands by, and two nodes at least are ready. */
const untilWorking = async (system: Pick<System, 'cluster'>, observer: Observer): Promise<void> => {
  await until(
    'a pool that works',
    async () => {
      const isLed = routersOf(system, 'leader').length === 1
      const isSafe = routersOf(system, 'standby').length > 0
      if (isLed && isSafe && observer.readyNodes().length >= 2) return true
      // Routers say that they are ready between two turns; flushing takes a round trip.
      await observer.bus.flush().catch(() => {})
      return null
    },
    120_000,
  )
}

/** Each act resolves with how many processes it has ended, once they are back. */
const createActs = (
  system: Pick<System, 'cluster'>,
  observer: Observer,
  random: Random,
  kills: Kills,
) => {
  const { cluster } = system

  const end = async (names: readonly string[]): Promise<number> => {
    const services = names.map((name) => cluster.service(name))
    const back = services.map((service) => service.untilRestarted())
    for (const service of services) service.kill('SIGKILL')
    await Promise.all(back)
    return names.length
  }

  const pickNode = (): string => random.pick(observer.readyNodes().toSorted()) ?? 'node-1'
  const leader = (): string => routersOf(system, 'leader')[0] ?? 'router-1'

  /** Ends the leader, and what else; measures how long the pool goes without one. */
  const endLeader = async (...others: string[]): Promise<number> => {
    const killedMs = performance.now()
    const numReigns = observer.reigns.length
    const ended = end([leader(), ...others])
    await observer.until(() => (observer.reigns[numReigns]?.decidedMs ?? null) !== null)
    const { announcedMs = 0, decidedMs } = observer.reigns[numReigns] ?? {}
    kills.takeoverMs.push({
      announced: announcedMs - killedMs,
      placed: (decidedMs ?? 0) - killedMs,
    })
    return ended
  }

  /** Its successor leads by the time it wakes up, and it must not act any more. */
  const pauseLeader = async (): Promise<number> => {
    const service = cluster.service(leader())
    const numReigns = observer.reigns.length
    service.kill('SIGSTOP')
    await observer.until(() => observer.reigns.length > numReigns)
    service.kill('SIGCONT')
    return 0
  }

  const endNats = async (): Promise<number> => {
    if (cluster.nats === null) throw new Error('nats-server is not ours to end')
    const back = cluster.nats.untilRestarted()
    cluster.nats.kill()
    await back
    return 1
  }

  return (victim: Victim): Promise<number> => {
    switch (victim) {
      case 'node':
        return end([pickNode()])
      case 'leader':
        return endLeader()
      case 'leader and node':
        return endLeader(pickNode())
      case 'standby':
        return end([random.pick(routersOf(system, 'standby')) ?? 'router-2'])
      case 'control-plane':
        return end(['control-plane'])
      case 'nats-server':
        return endNats()
      case 'paused leader':
        return pauseLeader()
    }
  }
}
