import { type Client, connectClient } from '@punica/client'
import { AppError } from '@punica/schema'
import { z } from 'zod'
import { connectAdmin } from '../admin.ts'
import type { Cluster } from '../launch/cluster.ts'
import { adapters, type DemoAdapter } from './adapters.ts'
import { type Ask, askOverHttp, askOverNats } from './answers.ts'

const VISIBLE_MS = 15_000
const POLL_MS = 50

/** The ways in: each tenant calls its adapters over the face that is its own here. */
export type Access = { askOf(adapter: DemoAdapter): Ask; close(): Promise<void> }

type Say = (text: string) => void

/**
 * What an operator and two tenants do before the first request, through the public API: create the
 * tenants and their keys, upload and publish the adapters, and mint a NATS credential.
 */
export const prepare = async (cluster: Cluster, say: Say): Promise<Access> => {
  const acme = await createTenant(cluster, 'acme', 'Acme Analytics', say)
  const globex = await createTenant(cluster, 'globex', 'Globex Tales', say)

  const operator = operatorOf(cluster)
  const { creds } = await operator.createNatsCredential({ tenant: 'globex', name: 'demo' })
  say('globex: a NATS credential that reaches nothing but its own subjects')
  const client = await connectClient({
    url: cluster.natsUrl,
    credentials: creds,
    tenant: 'globex',
    apiKey: globex,
  })
  const http = { url: cluster.gatewayUrl, apiKey: acme }
  await Promise.all([
    untilListed('acme', () => listOverHttp(http)),
    untilListed('globex', () => listOverNats(client)),
  ])
  const overHttp = askOverHttp(http)
  const overNats = askOverNats(client)
  return {
    askOf: ({ face }) => (face === 'HTTP' ? overHttp : overNats),
    close: client.close,
  }
}

const operatorOf = ({ controlPlaneUrl: url, operatorKey: key }: Cluster) =>
  connectAdmin({ url, key })

/** Creates a tenant, lets it upload its adapters, and returns a key that may only generate. */
const createTenant = async (
  cluster: Cluster,
  slug: string,
  name: string,
  say: Say,
): Promise<string> => {
  const operator = operatorOf(cluster)
  await operator.createTenant({ slug, name })
  const admin = await operator.createApiKey({ tenant: slug, name: 'admin', scopes: ['ADMIN'] })
  const tenant = connectAdmin({ url: cluster.controlPlaneUrl, key: admin.secret })
  for (const { name, folder } of adapters.filter((adapter) => adapter.tenant === slug)) {
    const input = { tenant: slug, name, baseModel: cluster.baseModel, folder }
    const { rank, digest } = await tenant.pushAdapter(input)
    say(`${slug}: ${name} uploaded and published (rank ${rank}, ${digest.slice(0, 12)})`)
  }
  const key = await tenant.createApiKey({ tenant: slug, name: 'app', scopes: ['GENERATE'] })
  return key.secret
}

/** What was published reaches the gateway within a moment. */
const untilListed = async (tenant: string, list: () => Promise<string[]>): Promise<void> => {
  const wanted = adapters.filter((adapter) => adapter.tenant === tenant).map(({ name }) => name)
  const deadlineMs = Date.now() + VISIBLE_MS
  for (;;) {
    const listed = await list()
    const missing = wanted.filter((name) => !listed.includes(name))
    if (missing.length === 0) return
    if (Date.now() > deadlineMs) {
      const what = `The gateway does not serve ${missing.join(', ')} of ${tenant}`
      throw new AppError('unavailable', `${what} ${VISIBLE_MS / 1000} s after publication`)
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

const Models = z.object({ data: z.array(z.object({ id: z.string() })) })

/** A key that the gateway has not heard of yet sees nothing, like one that may use nothing. */
const listOverHttp = async ({
  url,
  apiKey,
}: {
  url: string
  apiKey: string
}): Promise<string[]> => {
  const headers = { authorization: `Bearer ${apiKey}` }
  const response = await fetch(`${url}/v1/models`, { headers })
  if (response.status === 401) return []
  return Models.parse(await response.json()).data.map(({ id }) => id)
}

const listOverNats = async (client: Pick<Client, 'models'>): Promise<string[]> => {
  try {
    return (await client.models()).map(({ id }) => id)
  } catch (err) {
    if (err instanceof AppError && err.code === 'unauthenticated') return []
    throw err
  }
}
