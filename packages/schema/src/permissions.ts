/** What a NATS user may publish to and subscribe to; everything else is refused by the server. */
export type Permissions = {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** The programs that have a NATS user of their own. */
export const roles = ['control-plane', 'gateway', 'router', 'gpu-node', 'operator'] as const
export type Role = (typeof roles)[number]

const jetStream = ['$JS.API.>', '$JS.ACK.>', '$JS.FC.>']
const readRecords = [...jetStream]
const writeRecords = [...jetStream, '$KV.punica_catalog.>']
const objects = ['$O.punica_objects.>']

/** Each user reads replies below a prefix of its own, never `_INBOX.>`. */
export const inboxPrefix = (name: string): string => `_INBOX_${name}`

/**
 * The permissions of a program. `_R_.>` is where nats-server puts replies across accounts; replies
 * to requests go to the asker's own inbox prefix, which services may publish to.
 */
export const rolePermissions = (role: Role): Permissions => {
  const inbox = `${inboxPrefix(role)}.>`
  switch (role) {
    case 'control-plane':
      return {
        publish: [...writeRecords, ...objects, '_INBOX_*.>'],
        subscribe: [
          inbox,
          'punica.pool.*.nodes',
          'punica.pool.*.decisions',
          '$KV.punica_catalog.>',
        ],
      }
    case 'gateway':
      return {
        publish: [
          ...readRecords,
          'punica.pool.*.submit',
          'punica.pool.*.cancel',
          'punica.pool.*.gateways',
          'punica.node.*.replay',
          '_INBOX_*.>',
        ],
        subscribe: [inbox, 'punica.v1.>', 'punica.gateway.>'],
      }
    case 'router':
      return {
        publish: [
          ...readRecords,
          'punica.node.*.assign',
          'punica.node.*.command',
          'punica.gateway.*.events',
          'punica.pool.*.decisions',
          '_INBOX_*.>',
        ],
        subscribe: [inbox, 'punica.pool.>'],
      }
    case 'gpu-node':
      return {
        publish: [
          ...jetStream,
          'punica.pool.*.nodes',
          'punica.gateway.*.tokens',
          'punica.usage.>',
          '_INBOX_*.>',
        ],
        subscribe: [inbox, 'punica.node.>'],
      }
    case 'operator':
      return { publish: ['>'], subscribe: ['>'] }
  }
}

/** A tenant's users reach their own subjects and inboxes and nothing else. */
export const tenantPermissions = (tenant: string): Permissions => ({
  publish: [`punica.v1.${tenant}.>`],
  subscribe: [`${inboxPrefix(`t_${tenant}`)}.>`],
})
