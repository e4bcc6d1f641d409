import { catalogBucket, leaseBucket, objectBucket, usageStream } from './records.ts'

/** What a NATS user may publish to and subscribe to; everything else is refused by the server. */
export type Permissions = {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** The programs that have a NATS user of their own. */
export const roles = ['control-plane', 'gateway', 'router', 'gpu-node', 'operator'] as const
export type Role = (typeof roles)[number]

// What each use of JetStream costs in subjects of the server's API, for one stream each. A user that
// answers strangers must not hold more: a caller could name such a subject as its reply inbox.

const readStream = (stream: string): string[] => [
  '$JS.API.INFO',
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.STREAM.CREATE.${stream}`,
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}.>`,
  `$JS.API.CONSUMER.CREATE.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.>`,
  `$JS.API.CONSUMER.DELETE.${stream}.>`,
  `$JS.FC.${stream}.>`,
]

const catalogStream = `KV_${catalogBucket}`
const objectStream = `OBJ_${objectBucket}`

const readCatalog = readStream(catalogStream)
const writeCatalog = [
  ...readCatalog,
  `$JS.API.CONSUMER.MSG.NEXT.${catalogStream}.>`,
  `$KV.${catalogBucket}.>`,
]
/** Reads one key at a time and writes it under a condition; it needs no consumer. */
const leaseStream = `KV_${leaseBucket}`
const holdLeases = [
  `$JS.API.STREAM.INFO.${leaseStream}`,
  `$JS.API.STREAM.CREATE.${leaseStream}`,
  `$JS.API.STREAM.MSG.GET.${leaseStream}`,
  `$JS.API.DIRECT.GET.${leaseStream}.>`,
  `$KV.${leaseBucket}.leader.*`,
]
const readObjects = readStream(objectStream)
const writeObjects = [
  ...readObjects,
  `$JS.API.STREAM.PURGE.${objectStream}`,
  `$O.${objectBucket}.>`,
]
const followUsage = [...readStream(usageStream), `$JS.API.CONSUMER.MSG.NEXT.${usageStream}.>`]
const writeUsage = [
  `$JS.API.STREAM.INFO.${usageStream}`,
  `$JS.API.STREAM.CREATE.${usageStream}`,
  'punica.usage.>',
]

/** Each user reads replies below a prefix of its own, never `_INBOX.>`. */
export const inboxPrefix = (name: string): string => `_INBOX.${name}`

/** Where a tenant's users read replies; a gateway answers nothing that lies elsewhere. */
export const tenantInboxPrefix = (tenant: string): string => inboxPrefix(`t_${tenant}`)

const anyInbox = '_INBOX.>'

/** The permissions of a program: what it must say and hear, by channels.ts. */
export const rolePermissions = (role: Role): Permissions => {
  const inbox = `${inboxPrefix(role)}.>`
  switch (role) {
    case 'control-plane':
      return {
        publish: [...writeCatalog, ...writeObjects, ...followUsage, 'punica.node.*.probe'],
        subscribe: [
          inbox,
          'punica.pool.*.nodes',
          'punica.pool.*.decisions',
          'punica.pool.*.reports',
          'punica.keys.used',
        ],
      }
    case 'gateway':
      return {
        publish: [
          ...readCatalog,
          'punica.pool.*.submit',
          'punica.pool.*.cancel',
          'punica.pool.*.gateways',
          'punica.pool.*.reports',
          'punica.node.*.replay',
          ...writeUsage,
          'punica.keys.used',
          anyInbox,
        ],
        subscribe: [inbox, 'punica.v1.>', 'punica.gateway.>', 'punica.pool.*.leader'],
      }
    case 'router':
      return {
        publish: [
          ...readCatalog,
          ...holdLeases,
          'punica.pool.*.leader',
          'punica.node.*.assign',
          'punica.node.*.command',
          'punica.gateway.*.events',
          'punica.gateway.*.waiting',
          'punica.pool.*.decisions',
          'punica.pool.*.reports',
          anyInbox,
        ],
        subscribe: [inbox, 'punica.pool.>'],
      }
    case 'gpu-node':
      return nodePermissions({ nodeId: '*', pool: '*', inbox })
    case 'operator':
      return { publish: ['>'], subscribe: ['>'] }
  }
}

/** Where a node that joined by a token reads replies. */
const nodeInboxPrefix = (nodeId: string): string => inboxPrefix(`n_${nodeId}`)

/** A node that joined by a token is that node of that pool, and can pass for no other. */
export const joinedNodePermissions = (nodeId: string, pool: string): Permissions =>
  nodePermissions({ nodeId, pool, inbox: `${nodeInboxPrefix(nodeId)}.>` })

const nodePermissions = (of: { nodeId: string; pool: string; inbox: string }): Permissions => ({
  publish: [...readObjects, `punica.pool.${of.pool}.nodes`, 'punica.gateway.*.tokens', anyInbox],
  subscribe: [of.inbox, `punica.node.${of.nodeId}.>`, `punica.pool.${of.pool}.leader`],
})

/** A tenant's users reach their own subjects and inboxes and nothing else. */
export const tenantPermissions = (tenant: string): Permissions => ({
  publish: [`punica.v1.${tenant}.>`],
  subscribe: [`${tenantInboxPrefix(tenant)}.>`],
})

/** A user of nats-server's system account that reads and replaces the claims of our account. */
export const systemPermissions = (account: string): Permissions => ({
  publish: ['$SYS.REQ.CLAIMS.UPDATE', `$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`],
  subscribe: [`${inboxPrefix('system')}.>`],
})
