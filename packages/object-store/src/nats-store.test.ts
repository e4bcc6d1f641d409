import { randomBytes } from 'node:crypto'
import { startNatsServer } from '@punica/bus/testing'
import { connect } from 'nats'
import { describe, expect, it } from 'vitest'
import { natsObjectStore } from './nats-store.ts'
import { storeContract } from './store-contract.ts'

storeContract('natsObjectStore', async () => {
  const server = await startNatsServer()
  const connection = await connect({ servers: server.url })
  const jsm = await connection.jetstreamManager()
  return {
    store: await natsObjectStore(connection),
    orphans: {
      async leave(data) {
        const js = connection.jetstream()
        for (let at = 0; at < data.length; at += 262_144) {
          await js.publish('$O.punica_objects.C.dead', data.subarray(at, at + 262_144))
        }
      },
      async left() {
        const filter = { subjects_filter: '$O.punica_objects.C.dead' }
        const { state } = await jsm.streams.info('OBJ_punica_objects', filter)
        return Object.keys(state.subjects ?? {}).length
      },
    },
    async close() {
      await connection.close()
      await server.stop()
    },
  }
})

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

describe('natsObjectStore', () => {
  it('leaves no chunks of what was refused, repeated or deleted', async () => {
    await using server = await startNatsServer()
    const connection = await connect({ servers: server.url })
    const jsm = await connection.jetstreamManager()
    const store = await natsObjectStore(connection)
    const numMessages = async () => (await jsm.streams.info('OBJ_punica_objects')).state.messages
    const data = randomBytes(1_000_000)

    await store.put(once(data), { maxBytes: 900_000 }).catch(() => {})
    expect(await numMessages()).toBe(0)
    const { digest } = await store.put(once(data), { maxBytes: 1_000_000 })
    await store.put(once(data), { maxBytes: 1_000_000 })
    expect(await numMessages()).toBe(4 + 1)
    await store.delete(digest)
    expect(await numMessages()).toBe(1)
    await connection.close()
  })

  it('is read by the client library, too, and notices damage', async () => {
    await using server = await startNatsServer()
    const connection = await connect({ servers: server.url })
    const store = await natsObjectStore(connection)
    const data = randomBytes(1_000_000)
    const { digest } = await store.put(once(data), { maxBytes: 1_000_000 })
    const library = await connection.jetstream().views.os('punica_objects')
    const read = await library.getBlob(digest)
    expect(Buffer.compare(read ?? Buffer.alloc(0), data)).toBe(0)

    const jsm = await connection.jetstreamManager()
    await jsm.streams.deleteMessage('OBJ_punica_objects', 2)
    const damaged = async () => {
      for await (const _ of store.get(digest));
    }
    await expect(damaged()).rejects.toMatchObject({ code: 'internal' })
    await connection.close()
  })

  it('says that the server is away', async () => {
    await using server = await startNatsServer()
    const connection = await connect({ servers: server.url })
    const store = await natsObjectStore(connection)
    await connection.close()
    await expect(store.head('0'.repeat(64))).rejects.toMatchObject({ code: 'unavailable' })
  })
})
