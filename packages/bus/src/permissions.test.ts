import {
  ApiEvent,
  channels,
  inboxPrefix,
  leaderRecords,
  type Permissions,
  type Role,
  rolePermissions,
  roles,
  tenantInboxPrefix,
  tenantPermissions,
  tenantRecords,
  type UsageEvent,
  usageStream,
} from '@punica/schema'
import type { NatsConnection } from 'nats'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Bus } from './bus.ts'
import { type Authority, createAuthority, issueCredentials } from './credentials.ts'
import { connectBus } from './nats-bus.ts'
import { connectNats } from './nats-connection.ts'
import { needed } from './needed-subjects.ts'
import { collect, keysOf, startNatsServer, type TestNatsServer } from './testing.ts'

let authority: Authority
let server: TestNatsServer

beforeAll(async () => {
  authority = await createAuthority()
  server = await startNatsServer({ authority })
})
afterAll(() => server.stop())

const issue = async (name: string, permissions: Permissions, expiresAt?: Date): Promise<string> =>
  (await issueCredentials(authority.accountSeed, { name, permissions, expiresAt })).creds

const connectAs = async (name: string, permissions: Permissions): Promise<Bus> =>
  connectBus({ url: server.url, credentials: await issue(name, permissions) })

const connectRole = (role: Role): Promise<Bus> => connectAs(role, rolePermissions(role))

/** Tries each subject and returns those that the server refused, as `publish x`. */
const findRefused = async (
  connection: NatsConnection,
  { publish, subscribe }: Permissions,
): Promise<string[]> => {
  const refused: string[] = []
  const listen = async (): Promise<void> => {
    for await (const { permissionContext: context } of connection.status()) {
      if (context !== undefined) refused.push(`${context.operation} ${context.subject}`)
    }
  }
  void listen()
  for (const subject of publish) connection.publish(subject)
  for (const subject of subscribe) connection.subscribe(subject, { callback: () => {} })
  // The server complains before it answers the flush; the iterator of `listen` is a turn behind.
  await connection.flush()
  await new Promise((resolve) => setImmediate(resolve))
  await connection.close()
  return refused.toSorted()
}

const tryAs = async (name: string, granted: Permissions, tried: Permissions): Promise<string[]> => {
  const credentials = await issue(name, granted)
  return findRefused(await connectNats({ url: server.url, credentials }), tried)
}

const everything = ({ publish, subscribe }: Permissions): string[] =>
  [
    ...publish.map((subject) => `publish ${subject}`),
    ...subscribe.map((subject) => `subscription ${subject}`),
  ].toSorted()

/** What a caller could name as its inbox to borrow a program's rights, and what is not its own. */
const forbidden: Permissions = {
  publish: [
    '$JS.API.STREAM.DELETE.KV_punica_catalog',
    '$JS.API.STREAM.PURGE.KV_punica_catalog',
    '$JS.API.STREAM.DELETE.KV_punica_leases',
    '$JS.API.STREAM.PURGE.KV_punica_leases',
    '$KV.punica_leases.other.default',
    '$JS.API.STREAM.DELETE.PUNICA_USAGE',
    '$JS.API.STREAM.PURGE.PUNICA_USAGE',
    '$JS.API.STREAM.UPDATE.PUNICA_USAGE',
    '$JS.API.STREAM.DELETE.OBJ_punica_objects',
    '$SYS.REQ.SERVER.PING',
    'punica.v1.acme.generate',
  ],
  subscribe: ['>', '_INBOX.>', `${tenantInboxPrefix('acme')}.>`, '$KV.>', 'punica.>'],
}

describe.each(roles)('the role %s', (role) => {
  it('may use its channels', async () => {
    expect(await tryAs(role, rolePermissions(role), needed[role])).toEqual([])
  })

  it(role === 'operator' ? 'may go beyond' : 'may not go beyond', async () => {
    const refused = await tryAs(role, rolePermissions(role), forbidden)
    expect(refused).toEqual(role === 'operator' ? [] : everything(forbidden))
  })
})

describe('the programs together', () => {
  it('share records, whoever comes first', async () => {
    const gateway = await connectRole('gateway')
    const seen = collect<string>()
    const watched = await gateway.records(tenantRecords)
    await watched.watch(({ key, value }) => seen.push(`${key}=${value?.weight}`))
    const controlPlane = await connectRole('control-plane')
    const records = await controlPlane.records(tenantRecords)
    const tenant = {
      slug: 'acme',
      suspended: false,
      weight: 2,
      maxConcurrentRequests: null,
      maxTokensPerMinute: null,
    }
    await records.put('acme', tenant)
    expect(await seen.take(1)).toEqual(['acme=2'])
    expect((await watched.get('acme'))?.value).toEqual(tenant)
    expect(await keysOf(records)).toEqual(['acme'])
    await expect(watched.put('acme', tenant)).rejects.toMatchObject({ code: 'forbidden' })
    await records.delete('acme')
    expect(await keysOf(records)).toEqual([])
    await Promise.all([gateway.close(), controlPlane.close()])
  })

  it('leave the lease of a pool to the routers', async () => {
    const [router, gateway] = await Promise.all([connectRole('router'), connectRole('gateway')])
    const leases = await router.records(leaderRecords)
    const revision = await leases.replace('default', { holder: 'a', epoch: 1 }, 0)
    expect(await leases.get('default')).toEqual({ value: { holder: 'a', epoch: 1 }, revision })
    expect(await leases.replace('default', { holder: 'a', epoch: 2 }, 0)).toBeNull()
    const others = await tryAs('gateway', rolePermissions('gateway'), {
      publish: ['$KV.punica_leases.leader.default', channels.leader('default').subject],
      subscribe: [],
    })
    expect(others).toHaveLength(2)
    await Promise.all([router.close(), gateway.close()])
  })

  it('carry usage from a gateway to the control plane, and from nobody else', async () => {
    const gateway = await connectRole('gateway')
    const usage: UsageEvent = {
      requestId: 'r',
      tenant: 'acme',
      adapterDigest: null,
      pool: 'default',
      gatewayId: 'gw',
      timeMs: 0,
      promptTokens: 1,
      completionTokens: 1,
      final: true,
    }
    await gateway.store(channels.usage('acme'), usage, { id: 'r:1' })
    const node = await connectRole('gpu-node')
    const forged = node.store(channels.usage('acme'), usage, { id: 'forged' })
    await expect(forged).rejects.toMatchObject({ code: 'forbidden' })
    const controlPlane = await connectRole('control-plane')
    const seen = collect<UsageEvent>()
    const { schema } = channels.usage('acme')
    await controlPlane.follow({
      stream: usageStream,
      schema,
      position: async () => null,
      handle: async (messages) => {
        for (const { value } of messages) seen.push(value)
      },
    })
    expect(await seen.take(1)).toEqual([usage])
    await Promise.all([gateway.close(), node.close(), controlPlane.close()])
  })

  it('ask and answer each other', async () => {
    const [gateway, router] = await Promise.all([connectRole('gateway'), connectRole('router')])
    router.serve(channels.submit('default'), () => ({ type: 'queued' }))
    await router.flush()
    const task = {
      requestId: 'r',
      attempt: 0,
      gatewayId: 'g',
      tenant: 'acme',
      adapter: null,
      tokens: [1],
      numPromptTokens: 1,
      maxNewTokens: 1,
      stopTokens: [],
      ignoreEos: false,
      sampling: { seed: 0 },
      arrivalMs: 0,
      deadlineMs: 1,
    }
    const answer = await gateway.request(channels.submit('default'), task, { timeoutMs: 5000 })
    expect(answer).toEqual({ type: 'queued' })
    await Promise.all([gateway.close(), router.close()])
  })
})

describe("a tenant's credential", () => {
  const tenant = tenantPermissions('acme')

  it('may use its own subjects and inboxes', async () => {
    const own = {
      publish: [
        channels.generate('acme').subject,
        channels.abort('acme').subject,
        channels.models('acme').subject,
      ],
      subscribe: [`${tenantInboxPrefix('acme')}.x`],
    }
    expect(await tryAs('acme', tenant, own)).toEqual([])
  })

  it('may use nothing else', async () => {
    const others = {
      publish: [
        '$JS.API.INFO',
        '$KV.punica_catalog.tenant.acme',
        `${inboxPrefix('gateway')}.x`,
        `${tenantInboxPrefix('acme')}.x`,
        `${tenantInboxPrefix('other')}.x`,
        channels.cancel('default').subject,
        channels.generate('other').subject,
        channels.submit('default').subject,
        channels.usage('acme').subject,
      ],
      subscribe: [
        '>',
        '_INBOX.>',
        '*.>',
        `${inboxPrefix('gateway')}.>`,
        `${tenantInboxPrefix('acme2')}.>`,
        `${tenantInboxPrefix('other')}.>`,
        channels.generate('acme').subject,
        channels.generate('*').subject,
        'punica.pool.>',
      ],
    }
    expect(await tryAs('acme', tenant, others)).toEqual(everything(others))
  })

  it('gets answers from the gateway in its inbox', async () => {
    const gateway = await connectRole('gateway')
    const client = await connectAs('acme', tenant)
    gateway.subscribe(channels.generate('*'), (_, { replyTo, subject }) => {
      gateway.reply(replyTo, ApiEvent, { type: 'accepted', seq: 0, model: subject })
      const usage = { prompt_tokens: 1, completion_tokens: 0, total_tokens: 1 }
      gateway.reply(replyTo, ApiEvent, { type: 'done', seq: 1, usage })
    })
    gateway.serve(channels.models('*'), () => ({ type: 'models' as const, data: [] }))
    await gateway.flush()

    const inbox = client.inbox()
    expect(inbox.startsWith(`${tenantInboxPrefix('acme')}.`)).toBe(true)
    const events = collect<ApiEvent>()
    client.subscribe({ subject: inbox, schema: ApiEvent }, events.push)
    const call = { type: 'chat' as const, id: '1', apiKey: 'k', body: {} }
    client.publish(channels.generate('acme'), call, { replyTo: inbox })
    const types = (await events.take(2)).map(({ type }) => type)
    expect(types).toEqual(['accepted', 'done'])
    const models = client.request(channels.models('acme'), { apiKey: 'k' }, { timeoutMs: 5000 })
    expect(await models).toEqual({ type: 'models', data: [] })
    await Promise.all([gateway.close(), client.close()])
  })

  it('is told at once what it may not ask', async () => {
    const client = await connectAs('acme', tenant)
    const asked = client.request(channels.models('other'), { apiKey: 'k' }, { timeoutMs: 60_000 })
    await expect(asked).rejects.toMatchObject({ code: 'forbidden' })
    await client.close()
  })

  it('ends when it expires, and is worth nothing from another authority', async () => {
    const past = new Date(Date.now() - 60_000)
    const expired = await issue('acme', tenant, past)
    const foreign = await issueCredentials((await createAuthority()).accountSeed, {
      name: 'acme',
      permissions: tenant,
    })
    for (const credentials of [expired, foreign.creds, undefined]) {
      const refused = connectBus({ url: server.url, credentials })
      await expect(refused).rejects.toMatchObject({ code: 'unauthenticated' })
    }
  })
})
