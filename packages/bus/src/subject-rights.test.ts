import {
  type Channel,
  channels,
  joinedNodePermissions,
  type Permissions,
  type RequestChannel,
  rolePermissions,
  roles,
  tenantPermissions,
} from '@punica/schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Authority, createAuthority, issueCredentials } from './credentials.ts'
import { connectNats } from './nats-connection.ts'
import { startNatsServer, type TestNatsServer } from './testing.ts'

let authority: Authority
let server: TestNatsServer
beforeAll(async () => {
  authority = await createAuthority()
  server = await startNatsServer({ authority })
})
afterAll(() => server.stop())

/** Everybody who has a credential of its own kind; the operator's may do everything. */
const holders: Record<string, Permissions> = {
  ...Object.fromEntries(roles.map((role) => [role, rolePermissions(role)])),
  'joined-node': joinedNodePermissions('n1', 'p1'),
  tenant: tenantPermissions('acme'),
}

type AnyChannel = Channel<unknown> | RequestChannel<unknown, unknown>
/** Of what a subject names: that of the joined node and of the tenant, and another one. */
type Place = 'own' | 'foreign'
const places: Place[] = ['own', 'foreign']
const names = {
  pool: { own: 'p1', foreign: 'p2' },
  node: { own: 'n1', foreign: 'n2' },
  gateway: { own: 'g1', foreign: 'g2' },
  tenant: { own: 'acme', foreign: 'other' },
}
const nodes = ['gpu-node', 'joined-node']

type Row = {
  of: keyof typeof names | null
  /** Beside the operator. */
  publish: string[]
  subscribe: string[]
  /** Those of the above who are confined to what is their own. */
  confined?: string[]
}

const rows: Record<keyof typeof channels, Row> = {
  generate: { of: 'tenant', publish: ['tenant'], subscribe: ['gateway'], confined: ['tenant'] },
  abort: { of: 'tenant', publish: ['tenant'], subscribe: ['gateway'], confined: ['tenant'] },
  models: { of: 'tenant', publish: ['tenant'], subscribe: ['gateway'], confined: ['tenant'] },
  leader: {
    of: 'pool',
    publish: ['router'],
    subscribe: ['gateway', 'router', ...nodes],
    confined: ['joined-node'],
  },
  submit: { of: 'pool', publish: ['gateway'], subscribe: ['router'] },
  cancel: { of: 'pool', publish: ['gateway'], subscribe: ['router'] },
  gatewayStatus: { of: 'pool', publish: ['gateway'], subscribe: ['router'] },
  admin: { of: 'pool', publish: [], subscribe: ['router'] },
  assign: { of: 'node', publish: ['router'], subscribe: nodes, confined: ['joined-node'] },
  nodeCommand: { of: 'node', publish: ['router'], subscribe: nodes, confined: ['joined-node'] },
  probe: { of: 'node', publish: ['control-plane'], subscribe: nodes, confined: ['joined-node'] },
  replay: { of: 'node', publish: ['gateway'], subscribe: nodes, confined: ['joined-node'] },
  nodeEvents: {
    of: 'pool',
    publish: nodes,
    subscribe: ['control-plane', 'router'],
    confined: ['joined-node'],
  },
  tokens: { of: 'gateway', publish: nodes, subscribe: ['gateway'] },
  gatewayEvents: { of: 'gateway', publish: ['router'], subscribe: ['gateway'] },
  waiting: { of: 'gateway', publish: ['router'], subscribe: ['gateway'] },
  decisions: { of: 'pool', publish: ['router'], subscribe: ['control-plane', 'router'] },
  poolReports: {
    of: 'pool',
    publish: ['gateway', 'router'],
    subscribe: ['control-plane', 'router'],
  },
  usage: { of: 'tenant', publish: ['gateway'], subscribe: [] },
  keysUsed: { of: null, publish: ['gateway'], subscribe: ['control-plane'] },
}

const subjectOf = (name: keyof typeof channels, place: Place): string => {
  const made: AnyChannel | ((name: string) => AnyChannel) = channels[name]
  if (typeof made !== 'function') return made.subject
  const { of } = rows[name]
  return made(of === null ? '' : names[of][place]).subject
}

/** `publish x` and `subscribe x` of what the table allows, or does not, in each place. */
const tableOf = (holder: string): { allowed: string[]; refused: string[] } => {
  const allowed: string[] = []
  const refused: string[] = []
  for (const name of Object.keys(rows) as (keyof typeof channels)[]) {
    const { of, publish, subscribe, confined = [] } = rows[name]
    for (const place of of === null ? places.slice(0, 1) : places) {
      const isElsewhere = place === 'foreign' && confined.includes(holder)
      const note = (operation: string, who: string[]): void => {
        const may = holder === 'operator' || (who.includes(holder) && !isElsewhere)
        const list = may ? allowed : refused
        list.push(`${operation} ${subjectOf(name, place)}`)
      }
      note('publish', publish)
      note('subscription', subscribe)
    }
  }
  return { allowed, refused: refused.toSorted() }
}

const tryAll = async (holder: string, permissions: Permissions): Promise<string[]> => {
  const request = { name: holder, permissions }
  const { creds } = await issueCredentials(authority.accountSeed, request)
  const connection = await connectNats({ url: server.url, credentials: creds })
  const refused: string[] = []
  void (async () => {
    for await (const { permissionContext: context } of connection.status()) {
      if (context !== undefined) refused.push(`${context.operation} ${context.subject}`)
    }
  })()
  const { allowed, refused: forbidden } = tableOf(holder)
  for (const line of [...allowed, ...forbidden]) {
    const [operation, subject = ''] = line.split(' ')
    if (operation === 'publish') connection.publish(subject)
    else connection.subscribe(subject, { callback: () => {} })
  }
  // The server complains before it answers the flush; the iterator above is a turn behind.
  await connection.flush()
  await new Promise((resolve) => setImmediate(resolve))
  await connection.close()
  return refused.toSorted()
}

describe.each(Object.entries(holders))('the credential of a %s', (holder, permissions) => {
  it('reaches what the table says, on every channel, and nothing else', async () => {
    expect(await tryAll(holder, permissions)).toEqual(tableOf(holder).refused)
  })
})

it('every channel has its row', () => {
  expect(Object.keys(rows).toSorted()).toEqual(Object.keys(channels).toSorted())
})
