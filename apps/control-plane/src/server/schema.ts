import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { makeExecutableSchema } from '@graphql-tools/schema'
import type { GraphQLSchema } from 'graphql'
import {
  Adapter,
  AdapterAlias,
  AdapterVersion,
  adapterMutations,
  adapterQueries,
} from '../adapters/resolvers.ts'
import {
  AdapterUpload,
  uploadMutations,
  uploadQueries,
  uploadSubscriptions,
} from '../adapters/upload-resolvers.ts'
import { BaseModel, catalogQueries } from '../catalog/resolvers.ts'
import type { Resolvers } from '../generated/graphql.ts'
import { importMutations } from '../imports/resolvers.ts'
import { keyMutations, keyQueries } from '../keys/resolvers.ts'
import { GpuNode, nodeQueries, nodeSubscriptions, Pool } from '../nodes/resolvers.ts'
import { playgroundSubscriptions } from '../playground/resolvers.ts'
import { Tenant, tenantMutations, tenantQueries } from '../tenants/resolvers.ts'
import { DateTime, Long } from './scalars.ts'

const resolvers: Resolvers = {
  DateTime,
  Long,
  Query: {
    ...keyQueries,
    ...tenantQueries,
    ...catalogQueries,
    ...adapterQueries,
    ...uploadQueries,
    ...nodeQueries,
  },
  Mutation: {
    ...tenantMutations,
    ...keyMutations,
    ...adapterMutations,
    ...uploadMutations,
    ...importMutations,
  },
  Subscription: { ...nodeSubscriptions, ...uploadSubscriptions, ...playgroundSubscriptions },
  Tenant,
  BaseModel,
  Adapter,
  AdapterAlias,
  AdapterUpload,
  AdapterVersion,
  Pool,
  GpuNode,
}

/** The SDL of @punica/schema with its resolvers. */
export const loadSchema = async (): Promise<GraphQLSchema> => {
  const path = fileURLToPath(import.meta.resolve('@punica/schema/schema.graphql'))
  return makeExecutableSchema({ typeDefs: await readFile(path, 'utf8'), resolvers })
}
