import type { BaseModelResolvers, QueryResolvers } from '../generated/graphql.ts'

export const catalogQueries: Pick<QueryResolvers, 'baseModels'> = {
  baseModels: (_, __, { db }) =>
    db.baseModel.findMany({ where: { pool: { isNot: null } }, orderBy: { name: 'asc' } }),
}

export const BaseModel: BaseModelResolvers = {
  pool: ({ name }, _, { loaders }) => loaders.poolOfBaseModel.load(name),
}
