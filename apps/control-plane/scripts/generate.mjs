// Writes src/generated: the Prisma client and the types of the GraphQL resolvers. Both follow from
// the two schemas alone, so turbo's cache skips this when neither has changed.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { codegen } from '@graphql-codegen/core'
import * as typescript from '@graphql-codegen/typescript'
import * as resolvers from '@graphql-codegen/typescript-resolvers'
import { parse } from 'graphql'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const require = createRequire(import.meta.url)

const generatePrisma = () => {
  execFileSync(process.execPath, [require.resolve('prisma/build/index.js'), 'generate'], {
    cwd: at('../../..'),
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' },
  })
}

/** What resolvers of these types are handed: rows, or the inventory's own view of a node. */
const mappers = {
  Tenant: './prisma/client.ts#Tenant as TenantRow',
  ApiKey: './prisma/client.ts#ApiKey as ApiKeyRow',
  BaseModel: './prisma/client.ts#BaseModel as BaseModelRow',
  Pool: './prisma/client.ts#Pool as PoolRow',
  Adapter: './prisma/client.ts#Adapter as AdapterRow',
  AdapterVersion: './prisma/client.ts#AdapterVersion as AdapterVersionRow',
  AdapterAlias: './prisma/client.ts#AdapterAlias as AdapterAliasRow',
  AdapterUpload: './prisma/client.ts#AdapterUpload as AdapterUploadRow',
  GpuNode: '../nodes/inventory.ts#NodeView',
  NatsCredential: './prisma/client.ts#NatsCredential as NatsCredentialRow',
  NodeJoinToken: './prisma/client.ts#NodeJoinToken as NodeJoinTokenRow',
  AuditEvent: './prisma/client.ts#AuditEvent as AuditEventRow',
  UsageRow: '../usage/rows.ts#UsageRow as UsageRowView',
  UsageTotal: '../usage/rows.ts#UsageTotal as UsageTotalRow',
}

const generateGraphql = async () => {
  const schema = parse(readFileSync(at('../../../packages/schema/schema.graphql'), 'utf8'))
  const text = await codegen({
    schema,
    documents: [],
    filename: 'graphql.ts',
    pluginMap: { typescript, resolvers },
    plugins: [{ typescript: {} }, { resolvers: {} }],
    config: {
      useTypeImports: true,
      enumsAsTypes: true,
      contextType: '../server/context.ts#Context',
      scalars: {
        DateTime: { input: 'Date', output: 'Date' },
        Long: 'number | bigint',
        ID: 'string',
        // A promise where counting costs something, so that it is done only where it is read.
        Int: { input: 'number', output: 'number | Promise<number>' },
      },
      mappers,
    },
  })
  mkdirSync(at('../src/generated'), { recursive: true })
  writeFileSync(at('../src/generated/graphql.ts'), text)
}

generatePrisma()
await generateGraphql()
