import { perform } from '../audit/perform.ts'
import type { BaseModelResolvers, MutationResolvers, QueryResolvers } from '../generated/graphql.ts'
import { requireOperator } from '../keys/actor.ts'
import { readCatalogState } from './state.ts'

export const catalogQueries: Pick<QueryResolvers, 'baseModels' | 'catalog'> = {
  baseModels: (_, __, { db }) =>
    db.baseModel.findMany({ where: { pool: { isNot: null } }, orderBy: { name: 'asc' } }),
  catalog: (_, __, { actor, db }) => {
    requireOperator(actor)
    return readCatalogState(db)
  },
}

export const catalogMutations: Pick<MutationResolvers, 'rebuildCatalog'> = {
  rebuildCatalog: (_, __, context) =>
    perform(context, { action: 'rebuildCatalog' }, async (commit) => {
      requireOperator(context.actor)
      const changed = await context.projector.rebuild()
      // Nothing of the database changes: this keeps the audit event.
      return commit(async () => ({ __typename: 'RebuildCatalogPayload' as const, changed }))
    }),
}

export const BaseModel: BaseModelResolvers = {
  pool: ({ name }, _, { loaders }) => loaders.poolOfBaseModel.load(name),
}
