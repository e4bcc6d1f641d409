import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Admin, connectAdmin } from '@punica/cli/admin'
import { type Cluster, type ClusterOptions, startCluster } from '@punica/cli/cluster'
import OpenAI from 'openai'
import { makeDataFolder, removeDataFolder } from './folder.ts'

export const models = fileURLToPath(new URL('../../models', import.meta.url))

/** The adapters of the demo model, and the tenant that owns each here. */
export const adapters = {
  'sql-helper': 'acme',
  'extract-json': 'acme',
  sentiment: 'acme',
  french: 'globex',
  'pirate-tales': 'globex',
  bard: 'globex',
} as const
export type AdapterName = keyof typeof adapters
export const adapterNames = Object.keys(adapters) as AdapterName[]

export type System = {
  cluster: Cluster
  operator: Admin
  /** An API key of each tenant that may only generate. */
  keys: { acme: string; globex: string }
  /** The official client, for a key. */
  openai(key: string): OpenAI
  stop(): Promise<void>
}

/** The real system in a temporary folder, with two tenants and six adapters. */
export const startSystem = async (options: Partial<ClusterOptions> = {}): Promise<System> => {
  const dataFolder = await makeDataFolder()
  const cluster = await startCluster({ dataFolder, durable: false, ...options })
  const stop = async (): Promise<void> => {
    await cluster.stop()
    await removeDataFolder(dataFolder)
  }
  try {
    const operator = connectAdmin({ url: cluster.controlPlaneUrl, key: cluster.operatorKey })
    const keys = await fill(operator, cluster.baseModel)
    const openai = (key: string): OpenAI =>
      new OpenAI({ baseURL: `${cluster.gatewayUrl}/v1`, apiKey: key, maxRetries: 0 })
    await untilServed(openai, keys)
    return { cluster, operator, keys, openai, stop }
  } catch (err) {
    await stop()
    throw err
  }
}

const fill = async (operator: Admin, baseModel: string): Promise<System['keys']> => {
  const keyOf = async (tenant: string): Promise<string> => {
    await operator.createTenant({ slug: tenant, name: tenant })
    const key = await operator.createApiKey({ tenant, name: 'e2e', scopes: ['GENERATE'] })
    return key.secret
  }
  const keys = { acme: await keyOf('acme'), globex: await keyOf('globex') }
  for (const name of adapterNames) {
    const folder = path.join(models, 'adapters', name)
    await operator.pushAdapter({ tenant: adapters[name], name, baseModel, folder })
  }
  return keys
}

/** What was published reaches the gateway within a moment; the list of models tells when. */
const untilServed = async (openai: System['openai'], keys: System['keys']): Promise<void> => {
  const missing = async (): Promise<string[]> => {
    const served = await Promise.all(
      Object.values(keys).map(async (key) => (await openai(key).models.list()).data),
    )
    const ids = served.flat().map(({ id }) => id)
    return adapterNames.filter((name) => !ids.includes(name))
  }
  const deadline = Date.now() + 10_000
  for (let names = await missing(); names.length > 0; names = await missing()) {
    if (Date.now() > deadline) throw new Error(`never served: ${names.join(', ')}`)
  }
}

/** Runs `work` over the items, so many at a time, and resolves with the results in order. */
export const mapConcurrently = async <T, R>(
  items: readonly T[],
  numWorkers: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> => {
  const results: R[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T)
  }
  await Promise.all(Array.from({ length: numWorkers }, worker))
  return results
}
