import {
  channels,
  inboxPrefix,
  type Permissions,
  type Role,
  tenantInboxPrefix,
} from '@punica/schema'

/** The subjects of channels.ts that each program uses. */
export const needed: Record<Role, Permissions> = {
  'control-plane': {
    publish: [
      '$KV.punica_catalog.tenant.acme',
      '$O.punica_objects.C.x',
      '$JS.API.STREAM.PURGE.OBJ_punica_objects',
      channels.probe('n').subject,
    ],
    subscribe: [
      channels.nodeEvents('*').subject,
      channels.decisions('*').subject,
      channels.poolReports('*').subject,
    ],
  },
  gateway: {
    publish: [
      channels.submit('p').subject,
      channels.cancel('p').subject,
      channels.gatewayStatus('p').subject,
      channels.poolReports('p').subject,
      channels.replay('n').subject,
      channels.usage('acme').subject,
      `${tenantInboxPrefix('acme')}.x`,
    ],
    subscribe: [
      channels.generate('*').subject,
      channels.abort('*').subject,
      channels.models('*').subject,
      channels.tokens('g').subject,
      channels.gatewayEvents('g').subject,
      channels.waiting('g').subject,
      channels.leader('p').subject,
    ],
  },
  router: {
    publish: [
      channels.assign('n').subject,
      channels.nodeCommand('n').subject,
      channels.gatewayEvents('g').subject,
      channels.decisions('p').subject,
      channels.poolReports('p').subject,
      channels.waiting('g').subject,
      channels.leader('p').subject,
      '$KV.punica_leases.leader.p',
      `${inboxPrefix('gateway')}.x`,
    ],
    subscribe: [
      channels.submit('p').subject,
      channels.cancel('p').subject,
      channels.gatewayStatus('p').subject,
      channels.nodeEvents('p').subject,
    ],
  },
  'gpu-node': {
    publish: [
      channels.nodeEvents('p').subject,
      channels.tokens('g').subject,
      `${inboxPrefix('router')}.x`,
    ],
    subscribe: [
      channels.assign('n').subject,
      channels.nodeCommand('n').subject,
      channels.probe('n').subject,
      channels.replay('n').subject,
      channels.leader('p').subject,
    ],
  },
  operator: { publish: ['anything'], subscribe: ['>'] },
}
