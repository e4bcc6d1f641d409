import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { makeExecutableSchema } from '@graphql-tools/schema'
import type { GraphQLSchema } from 'graphql'
import { Adapter, AdapterUpload, adapterMutations, adapterQueries } from '../adapters/resolvers.ts'
import { BaseModel, catalogQueries } from '../catalog/resolvers.ts'
import type { Resolvers } from '../generated/graphql.ts'
import { keyMutations, keyQueries } from '../keys/resolvers.ts'
import { GpuNode, nodeQueries, nodeSubscriptions, Pool } from '../nodes/resolvers.ts'
import { playgroundSubscriptions } from '../playground/resolvers.ts'
import { Tenant, tenantMutations, tenantQueries } from '../tenants/resolvers.ts'
import { DateTime, Long } from './scalars.ts'

const resolvers: Resolvers = {
  DateTime,
  Long,
  Query: { ...keyQueries, ...tenantQueries, ...catalogQueries, ...adapterQueries, ...nodeQueries },
  Mutation: { ...tenantMutations, ...keyMutations, ...adapterMutations },
  Subscription: { ...nodeSubscriptions, ...playgroundSubscriptions },
  Tenant,
  BaseModel,
  Adapter,
  AdapterUpload,
  Pool,
  GpuNode,
}

/** The SDL of @punica/schema with its resolvers. */
export const loadSchema = async (): Promise<GraphQLSchema> => {
  const path = fileURLToPath(import.meta.resolve('@punica/schema/schema.graphql'))
  return makeExecutableSchema({ typeDefs: await readFile(path, 'utf8'), resolvers })
}
