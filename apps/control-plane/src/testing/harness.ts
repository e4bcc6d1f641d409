import { fileURLToPath } from 'node:url'
import { type Bus, memoryBus } from '@punica/bus'
import { createClient } from '@punica/client'
import { memoryObjectStore, type ObjectStore } from '@punica/object-store'
import { pino } from '@punica/service'
import { z } from 'zod'
import type { ProbeAdapter } from '../adapters/probe-adapter.ts'
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../control-plane.ts'
import { type Database, openDatabase } from '../db/database.ts'
import { migrate } from '../db/migrate.ts'
import { createKey } from '../keys/api-key.ts'
import { startPostgres } from './postgres.ts'

export const models = fileURLToPath(new URL('../../../../models', import.meta.url))

export const baseModel = { name: 'demo', folder: `${models}/base`, pool: 'default' }

const Answer = z.object({
  data: z.record(z.string(), z.any()).nullish(),
  errors: z
    .array(z.object({ message: z.string(), extensions: z.record(z.string(), z.unknown()) }))
    .optional(),
})
type Answer = z.infer<typeof Answer>
/** What a field answered, of whatever shape the test expects. */
export type Payload = NonNullable<Answer['data']>[string]

export type Harness = {
  databaseUrl: string
  url: string
  db: Database
  bus: Bus
  store: ObjectStore
  operatorKey: string
  /** Every statement sent to Postgres, oldest first. */
  statements: string[]
  /** One GraphQL operation; without a key, the operator's. */
  graphql(query: string, variables?: Record<string, unknown>, key?: string): Promise<Answer>
  /** One mutation `name(input: ...)` that answers a union; fails where the answer is an error. */
  mutate(
    name: string,
    input: Record<string, unknown>,
    fields: string,
    key?: string,
  ): Promise<Payload>
  /** Makes a tenant and a key of it for each of the scopes. */
  createTenant(slug: string): Promise<{ admin: string; user: string }>
  stop(): Promise<void>
}

export type HarnessOptions = Partial<
  Pick<ControlPlaneOptions, 'natsAccountSeed' | 'accountClaims' | 'baseModel' | 'store' | 'imports'>
> & {
  bus?: Bus
  /** Adapters are tried by nodes, which the test must be; else each passes. */
  nodesProbe?: boolean
  /** Of another harness, to stand beside it with its operator's key. */
  beside?: Pick<Harness, 'databaseUrl' | 'operatorKey' | 'bus'>
  /** Folder of the Postgres to use; absent: the embedded one. */
  postgresBinaries?: string
}

const passProbe: ProbeAdapter = async () => ({
  nodeId: 'test',
  maxLogprobChange: 1,
  changedTokens: 8,
  numTokens: 32,
})

/** A control plane over a real Postgres of its own, in this process. */
export const startHarness = async (options: HarnessOptions = {}): Promise<Harness> => {
  const { beside } = options
  const postgres =
    beside === undefined
      ? await startPostgres(options.postgresBinaries)
      : { url: beside.databaseUrl, stop: async () => {} }
  await migrate(postgres.url)
  const statements: string[] = []
  const db = openDatabase({ url: postgres.url, onQuery: (sql) => statements.push(sql) })
  const bus = options.bus ?? beside?.bus ?? memoryBus()
  const store = options.store ?? memoryObjectStore()
  const operatorKey = beside?.operatorKey ?? createKey().secret
  const controlPlane: ControlPlane = await startControlPlane({
    db,
    bus,
    store,
    connectTenant: async (tenant, apiKey) => ({
      ...createClient({ bus, tenant, apiKey }),
      close: async () => {},
    }),
    log: pino({ level: 'silent' }),
    refusals: { refuse: () => {} },
    host: '127.0.0.1',
    port: 0,
    operatorKey,
    natsAccountSeed: options.natsAccountSeed,
    accountClaims: options.accountClaims ?? null,
    baseModel: options.baseModel === undefined ? baseModel : options.baseModel,
    imports: options.imports ?? { roots: [], hosts: [], allowPrivate: false },
    probeWaitMs: 1_000,
    ...(options.nodesProbe === true ? {} : { probeAdapter: passProbe }),
  })
  const graphql: Harness['graphql'] = async (query, variables = {}, key = operatorKey) => {
    const response = await fetch(`${controlPlane.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({ query, variables }),
    })
    return Answer.parse(await response.json())
  }
  const mutate: Harness['mutate'] = async (name, input, fields, key) => {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
    const payload = type === 'RevokeAdapterGrant' ? 'GrantAdapter' : type
    const answer = await graphql(
      `mutation ($input: ${payload}Input!) { ${name}(input: $input) {
        __typename ... on ${payload}Payload { ${fields} } ... on ProblemError { code message field }
      } }`,
      { input },
      key,
    )
    if (answer.data?.[name] === undefined) throw new Error(JSON.stringify(answer))
    return answer.data[name]
  }
  return {
    databaseUrl: postgres.url,
    url: controlPlane.url,
    db,
    bus,
    store,
    operatorKey,
    statements,
    graphql,
    mutate,
    createTenant: async (slug) => {
      await mutate('createTenant', { slug, name: slug }, 'tenant { id }')
      const keyOf = async (scopes: string[]): Promise<string> =>
        (await mutate('createApiKey', { tenant: slug, name: 'test', scopes }, 'secret')).secret
      return { admin: await keyOf(['ADMIN', 'GENERATE']), user: await keyOf(['GENERATE']) }
    },
    stop: async () => {
      await controlPlane.close()
      await db.$disconnect()
      await postgres.stop()
    },
  }
}
