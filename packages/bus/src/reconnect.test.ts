import { channels, type UsageEvent, usageStream } from '@punica/schema'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { StreamPosition } from './bus.ts'
import { connectBus } from './nats-bus.ts'
import { connectNats } from './nats-connection.ts'
import { collect, startNatsServer } from './testing.ts'

const Note = z.strictObject({ text: z.string() })
const kind = { bucket: 'punica_catalog', prefix: 'note', schema: Note }
const ping = { subject: 'ping', request: Note, reply: Note }

const usage = (requestId: string): UsageEvent => ({
  requestId,
  tenant: 'acme',
  adapterDigest: null,
  pool: 'default',
  gatewayId: 'gw',
  timeMs: 0,
  promptTokens: 1,
  completionTokens: 1,
  final: true,
})

describe('connectBus when the server goes away', () => {
  it('goes on with subscriptions, watches and consumers after a crash of the server', async () => {
    await using server = await startNatsServer()
    const bus = await connectBus({ url: server.url })
    const other = await connectBus({ url: server.url })
    const records = await bus.records(kind)
    const updates = collect<string>()
    const used = collect<string>()
    await records.put('a', { text: '1' })
    await records.watch(({ key, value }) => updates.push(`${key}=${value?.text}`))
    let at: StreamPosition | null = null
    await bus.follow({
      stream: usageStream,
      schema: channels.usage('acme').schema,
      position: async () => at,
      handle: async (messages, position) => {
        at = position
        for (const { value } of messages) used.push(value.requestId)
      },
    })
    bus.serve(ping, ({ text }) => ({ text }))
    await bus.store(channels.usage('acme'), usage('r1'), { id: 'r1' })
    await used.take(1)

    await server.kill()
    await server.start()

    const ask = () => other.request(ping, { text: 'back' }, { timeoutMs: 500 })
    for (;;) if (await ask().catch(() => null)) break
    const others = await other.records(kind)
    await others.put('b', { text: '2' })
    expect(await updates.take(2)).toEqual(['a=1', 'b=2'])
    await other.store(channels.usage('acme'), usage('r2'), { id: 'r2' })
    expect(await used.take(2)).toEqual(['r1', 'r2'])
    await Promise.all([bus.close(), other.close()])
  }, 30_000)

  it('follows a stream that was made anew from its beginning', async () => {
    await using server = await startNatsServer()
    const bus = await connectBus({ url: server.url })
    const admin = await connectNats({ url: server.url })
    const used = collect<string>()
    let at: StreamPosition | null = null
    await bus.follow({
      stream: usageStream,
      schema: channels.usage('acme').schema,
      position: async () => at,
      handle: async (messages, position) => {
        at = position
        for (const { value } of messages) used.push(`${position.seq} ${value.requestId}`)
      },
    })
    await bus.store(channels.usage('acme'), usage('r1'), { id: 'r1' })
    await used.take(1)
    await (await admin.jetstreamManager()).streams.delete(usageStream)
    const store = () => bus.store(channels.usage('acme'), usage('r2'), { id: 'r2' })
    // A bus that knew the stream notices at its first try that it is gone.
    await store().catch(store)
    expect(await used.take(2)).toEqual(['1 r1', '1 r2'])
    await Promise.all([bus.close(), admin.close()])
  }, 30_000)

  it('tells a watcher what changed with the store when the bucket was made anew', async () => {
    await using server = await startNatsServer()
    const bus = await connectBus({ url: server.url })
    const admin = await connectNats({ url: server.url })
    const records = await bus.records(kind)
    await records.put('kept', { text: '1' })
    await records.put('lost', { text: '2' })
    const updates = collect<string>()
    await records.watch(({ key, value }) => updates.push(`${key}=${value?.text}`))
    const jsm = await admin.jetstreamManager()
    await jsm.streams.delete('KV_punica_catalog')
    const rebuilt = await (await connectBus({ url: server.url })).records(kind)
    await rebuilt.put('kept', { text: '3' })
    await server.kill()
    await server.start()
    expect(await updates.take(4)).toEqual(['kept=1', 'lost=2', 'kept=3', 'lost=undefined'])
    await Promise.all([bus.close(), admin.close()])
  }, 30_000)

  it('closes in bounded time while the server is away', async () => {
    await using server = await startNatsServer()
    const bus = await connectBus({ url: server.url })
    const records = await bus.records(kind)
    await records.watch(() => {})
    await server.kill()
    await bus.close()
    await server.start()
  }, 30_000)

  it('says where it could not connect, without the password', async () => {
    const url = 'nats://user:secret@127.0.0.1:1'
    const refused = connectBus({ url })
    await expect(refused).rejects.toMatchObject({ code: 'unavailable' })
    await expect(refused).rejects.toThrow('nats://127.0.0.1:1')
  })

  it('gives a flush up when no server comes back, and closes all the same', async () => {
    await using server = await startNatsServer()
    const bus = await connectBus({ url: server.url })
    await server.kill()
    await expect(bus.flush()).rejects.toMatchObject({ code: 'unavailable' })
    await bus.close()
  })
})
