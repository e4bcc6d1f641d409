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
import { AuditEvent, auditQueries } from '../audit/resolvers.ts'
import { BaseModel, catalogMutations, catalogQueries } from '../catalog/resolvers.ts'
import type { Resolvers } from '../generated/graphql.ts'
import { importMutations } from '../imports/resolvers.ts'
import { ApiKey, keyMutations, keyQueries, NatsCredential } from '../keys/resolvers.ts'
import { joinTokenMutations, joinTokenQueries, NodeJoinToken } from '../nodes/join-tokens.ts'
import { GpuNode, nodeMutations, nodeQueries, Pool } from '../nodes/resolvers.ts'
import { nodeSubscriptions } from '../nodes/subscriptions.ts'
import { playgroundSubscriptions } from '../playground/resolvers.ts'
import { Tenant, tenantMutations, tenantQueries } from '../tenants/resolvers.ts'
import { UsageRow, UsageTotal, usageQueries, usageSubscriptions } from '../usage/resolvers.ts'
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
    ...joinTokenQueries,
    ...usageQueries,
    ...auditQueries,
  },
  Mutation: {
    ...tenantMutations,
    ...keyMutations,
    ...catalogMutations,
    ...adapterMutations,
    ...uploadMutations,
    ...importMutations,
    ...nodeMutations,
    ...joinTokenMutations,
  },
  Subscription: {
    ...nodeSubscriptions,
    ...uploadSubscriptions,
    ...usageSubscriptions,
    ...playgroundSubscriptions,
  },
  Tenant,
  ApiKey,
  NatsCredential,
  BaseModel,
  Adapter,
  AdapterAlias,
  AdapterUpload,
  AdapterVersion,
  Pool,
  GpuNode,
  NodeJoinToken,
  UsageRow,
  UsageTotal,
  AuditEvent,
}

/** The SDL of @punica/schema with its resolvers. */
export const loadSchema = async (): Promise<GraphQLSchema> => {
  const path = fileURLToPath(import.meta.resolve('@punica/schema/schema.graphql'))
  return makeExecutableSchema({ typeDefs: await readFile(path, 'utf8'), resolvers })
}
