import { type Bus, connectBus, connectNats, memoryBus, type Records } from '@punica/bus'
import { startNatsServer } from '@punica/bus/testing'
import { leaderRecords, leaseBucket } from '@punica/schema'
import { pino } from '@punica/service'
import { expect, onTestFinished, test } from 'vitest'
import { campaign, type Term } from './lease.ts'

const log = pino({ level: 'silent' })
const clock = () => performance.now()

/** A router that stands for the lease of a pool. */
const stand = (bus: Pick<Bus, 'records'>, holder: string, leaseMs = 500) => {
  const leaving = new AbortController()
  const term = campaign(leaving.signal, { bus, log, pool: 'p', holder, leaseMs, clock })
  onTestFinished(async () => {
    leaving.abort()
    await (await term)?.release()
  })
  return { term, leave: () => leaving.abort() }
}

const leading = async (term: Promise<Term | null>): Promise<Term> => {
  const held = await term
  if (held === null) throw new Error('never led')
  return held
}

const untilHeld = async (term: Term): Promise<void> => {
  while (!term.isHeld()) await new Promise((resolve) => setImmediate(resolve))
}

/** The bus of a router whose writes are lost for as long as the test says. */
const cutOff = (bus: Bus) => {
  let isCut = false
  return {
    cut: () => {
      isCut = true
    },
    mend: () => {
      isCut = false
    },
    bus: {
      records: async <T>(kind: Parameters<typeof bus.records<T>>[0]): Promise<Records<T>> => {
        const records = await bus.records(kind)
        return {
          ...records,
          replace: (...args) =>
            isCut ? Promise.reject(new Error('cut')) : records.replace(...args),
        }
      },
    },
  }
}

test('one leads, and when it stops the standby begins with a newer epoch', async () => {
  const bus = memoryBus()
  const a = await leading(stand(bus, 'a').term)
  const b = stand(bus, 'b')
  expect(a.isHeld()).toBe(true)
  await a.release()
  expect(a.isHeld()).toBe(false)
  expect((await leading(b.term)).epoch).toBeGreaterThan(a.epoch)
})

test('the epoch grows even where the clock of the next leader is behind', async () => {
  const bus = memoryBus()
  const records = await bus.records(leaderRecords)
  const future = Date.now() + 3_600_000
  await records.put('p', { holder: null, epoch: future })
  expect((await leading(stand(bus, 'a').term)).epoch).toBe(future + 1)
})

test('a leader that cannot renew stops before the standby begins, and then learns of it', async () => {
  const bus = memoryBus()
  const line = cutOff(bus)
  const a = await leading(stand(line.bus, 'a').term)
  const b = stand(bus, 'b')
  line.cut()
  let wasHeld: boolean | null = null
  const second = await leading(
    b.term.then((term) => {
      wasHeld = a.isHeld()
      return term
    }),
  )
  expect(wasHeld).toBe(false)
  expect(second.isHeld()).toBe(true)
  line.mend()
  await new Promise((resolve) => a.ended.addEventListener('abort', resolve))
  expect(a.isHeld()).toBe(false)
  expect(second.isHeld()).toBe(true)
})

test('a leader that could not renew for a while goes on where nobody has taken its place', async () => {
  const line = cutOff(memoryBus())
  const a = await leading(stand(line.bus, 'a').term)
  line.cut()
  while (a.isHeld()) await new Promise((resolve) => setImmediate(resolve))
  line.mend()
  await untilHeld(a)
  expect(a.ended.aborted).toBe(false)
})

test('a standby that stops has never led', async () => {
  const bus = memoryBus()
  await leading(stand(bus, 'a').term)
  const b = stand(bus, 'b')
  b.leave()
  expect(await b.term).toBeNull()
})

test('the end of the NATS server changes no leader', async () => {
  await using server = await startNatsServer()
  const buses = await Promise.all([1, 2].map(() => connectBus({ url: server.url })))
  onTestFinished(async () => {
    await Promise.all(buses.map((bus) => bus.close()))
  })
  const [first, second] = buses
  if (first === undefined || second === undefined) throw new Error('no bus')
  // Longer than a client of NATS takes to come back.
  const a = await leading(stand(first, 'a', 2_000).term)
  const b = stand(second, 'b', 2_000)
  let isReplaced = false
  b.term.then((term) => {
    isReplaced = term !== null
  })
  for (let i = 0; i < 2; i++) {
    await server.kill()
    while (a.isHeld()) await new Promise((resolve) => setImmediate(resolve))
    await server.start()
    await untilHeld(a)
  }
  expect(isReplaced).toBe(false)
  expect(a.ended.aborted).toBe(false)
  await a.release()
  expect((await leading(b.term)).epoch).toBeGreaterThan(a.epoch)
}, 60_000)

test('what the server has lost is made anew, with a newer epoch', async () => {
  await using server = await startNatsServer()
  const bus = await connectBus({ url: server.url })
  const admin = await connectNats({ url: server.url })
  const a = await leading(stand(bus, 'a').term)
  const jsm = await admin.jetstreamManager()
  await jsm.streams.delete(`KV_${leaseBucket}`)
  await new Promise((resolve) => a.ended.addEventListener('abort', resolve))
  const again = await leading(stand(bus, 'a').term)
  expect(again.epoch).toBeGreaterThan(a.epoch)
  await again.release()
  await Promise.all([bus.close(), admin.close()])
}, 60_000)
