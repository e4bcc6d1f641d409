import { type Bus, connectBus, createAuthority, issueCredentials, memoryBus } from '@punica/bus'
import { collect, startNatsServer } from '@punica/bus/testing'
import {
  type AbortCall,
  ApiEvent,
  channels,
  type GenerateMessage,
  type ModelsReply,
  rolePermissions,
  tenantPermissions,
} from '@punica/schema'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Client, connectClient, createClient } from './client.ts'

const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
const body = { model: 'poet', messages: [{ role: 'user' as const, content: 'Sing.' }] }

const accepted = (seq: number): ApiEvent => ({ type: 'accepted', seq, model: 'poet' })
const delta = (seq: number, text: string): ApiEvent => ({
  type: 'delta',
  seq,
  choice: 0,
  text,
  numTokens: seq,
  nodeId: 'n1',
  numAdapters: 1,
})
const done = (seq: number): ApiEvent => ({ type: 'done', seq, usage })

/** A gateway that says what it is told to. */
const serveFake = (bus: Bus, answer: (call: GenerateMessage) => ApiEvent[]) => {
  const calls = collect<GenerateMessage>()
  const aborts = collect<AbortCall>()
  bus.subscribe(channels.generate('*'), (call, { replyTo }) => {
    for (const event of answer(call)) bus.reply(replyTo, ApiEvent, event)
    calls.push(call)
  })
  bus.subscribe(channels.abort('*'), aborts.push)
  return { calls, aborts }
}

const readAll = async (stream: AsyncIterable<ApiEvent>): Promise<ApiEvent[]> => {
  const events: ApiEvent[] = []
  for await (const event of stream) events.push(event)
  return events
}

describe('createClient', () => {
  let bus: Bus
  let client: Client

  beforeEach(() => {
    bus = memoryBus()
    client = createClient({ bus, tenant: 'acme', apiKey: 'key' })
  })
  afterEach(() => bus.close())

  it('streams the events of a chat and of a completion', async () => {
    const said = [accepted(0), delta(1, 'la'), done(2)]
    const { calls, aborts } = serveFake(bus, () => said)
    expect(await readAll(client.chat(body))).toEqual(said)
    expect(await readAll(client.complete({ model: 'poet', prompt: 'Sing.' }))).toEqual(said)
    expect(calls.items).toMatchObject([
      { type: 'chat', apiKey: 'key', body },
      { type: 'completion', body: { model: 'poet', prompt: 'Sing.' } },
    ])
    expect(aborts.items).toEqual([])
  })

  it('puts events in order and drops repeated ones', async () => {
    const inOrder = [accepted(0), delta(1, 'a'), delta(2, 'b'), delta(3, 'c'), done(4)]
    const [a, b, c, d, e] = inOrder
    const mixed = [b, a, a, d, b, e, c].filter((event) => event !== undefined)
    serveFake(bus, () => mixed)
    expect(await readAll(client.chat(body))).toEqual(inOrder)
  })

  it('rejects with the error of the gateway, after what came before it', async () => {
    const error = { code: 'model_not_found' as const, message: 'No model poet', param: 'model' }
    const { aborts } = serveFake(bus, () => [accepted(0), { type: 'error', seq: 1, error }])
    const stream = client.chat(body)
    expect((await stream.next()).value).toEqual(accepted(0))
    await expect(stream.next()).rejects.toMatchObject(error)
    expect(aborts.items).toEqual([])
  })

  it('says that no gateway listens', async () => {
    await expect(readAll(client.chat(body))).rejects.toMatchObject({ code: 'unavailable' })
    await expect(client.models()).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('aborts the call when it is told to', async () => {
    const { aborts, calls } = serveFake(bus, () => [accepted(0)])
    const stop = new AbortController()
    const stream = client.chat(body, { signal: stop.signal })
    await stream.next()
    const next = stream.next()
    stop.abort()
    await expect(next).rejects.toMatchObject({ code: 'cancelled' })
    expect((await aborts.take(1))[0]?.id).toBe(calls.items[0]?.id)
  })

  it('sends nothing when it is aborted before', async () => {
    const { calls } = serveFake(bus, () => [])
    const stream = client.chat(body, { signal: AbortSignal.abort() })
    await expect(stream.next()).rejects.toMatchObject({ code: 'cancelled' })
    await bus.flush()
    expect(calls.items).toEqual([])
  })

  it('aborts the call when the reader stops', async () => {
    const { aborts } = serveFake(bus, () => [accepted(0), delta(1, 'la')])
    for await (const { type } of client.chat(body)) if (type === 'delta') break
    expect(await aborts.take(1)).toMatchObject([{ apiKey: 'key' }])
  })

  it('gives up after the time it was given', async () => {
    const { aborts } = serveFake(bus, () => [accepted(0)])
    const stream = client.chat(body, { timeoutMs: 20 })
    await expect(readAll(stream)).rejects.toMatchObject({ code: 'deadline_exceeded' })
    await aborts.take(1)
  })

  it('gives up when a gateway falls silent, and not while it says that it is alive', async () => {
    const { aborts } = serveFake(bus, () => [
      accepted(0),
      { type: 'alive', seq: 1 },
      delta(2, 'la'),
    ])
    const stream = client.chat(body, { silenceMs: 20 })
    const events: ApiEvent[] = []
    const read = async (): Promise<void> => {
      for await (const event of stream) events.push(event)
    }
    await expect(read()).rejects.toMatchObject({ code: 'unavailable' })
    expect(events).toEqual([accepted(0), delta(2, 'la')])
    await aborts.take(1)
  })

  it('bounds what waits for a slow reader', async () => {
    const many = Array.from({ length: 20_000 }, (_, i) => delta(i, 'x'))
    const { aborts } = serveFake(bus, () => many)
    await expect(readAll(client.chat(body))).rejects.toMatchObject({ code: 'overloaded' })
    await aborts.take(1)
  })

  it('lists models, or says why not', async () => {
    const error = { code: 'unauthenticated' as const, message: 'Unknown key' }
    let refuse = false
    bus.serve(
      channels.models('acme'),
      (): ModelsReply => (refuse ? { type: 'error', error } : { type: 'models', data: [] }),
    )
    expect(await client.models()).toEqual([])
    refuse = true
    await expect(client.models()).rejects.toMatchObject(error)
  })
})

describe('connectClient', () => {
  it("works with a tenant's credential, and only for that tenant", async () => {
    const authority = await createAuthority()
    await using server = await startNatsServer({ authority })
    const { url } = server
    const issue = async (name: string, permissions: ReturnType<typeof tenantPermissions>) =>
      (await issueCredentials(authority.accountSeed, { name, permissions })).creds
    const gateway = await connectBus({
      url,
      credentials: await issue('gateway', rolePermissions('gateway')),
    })
    const said = [accepted(0), delta(1, 'la'), done(2)]
    serveFake(gateway, () => said)
    await gateway.flush()

    const credentials = await issue('acme', tenantPermissions('acme'))
    const client = await connectClient({ url, credentials, tenant: 'acme', apiKey: 'key' })
    const streams = Array.from({ length: 20 }, () => readAll(client.chat(body)))
    for (const events of await Promise.all(streams)) expect(events).toEqual(said)

    const intruder = await connectClient({ url, credentials, tenant: 'globex', apiKey: 'key' })
    await expect(intruder.models()).rejects.toMatchObject({ code: 'forbidden' })
    await Promise.all([client.close(), intruder.close(), gateway.close()])
  })
})
