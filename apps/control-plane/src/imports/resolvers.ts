import { toPublishDeps } from '../adapters/upload-resolvers.ts'
import { perform } from '../audit/perform.ts'
import type { MutationResolvers } from '../generated/graphql.ts'
import { importAdapter } from './import.ts'

export const importMutations: Pick<MutationResolvers, 'importAdapter'> = {
  importAdapter: (_, { input }, context) => {
    const target = `${input.name} from ${input.folder ?? input.url ?? 'nowhere'}`
    const act = { action: 'importAdapter', tenant: input.tenant, target }
    return perform(context, act, (commit) => {
      const { store, uploads, settings, actor } = context
      const deps = { ...toPublishDeps(context, commit), store, uploads, imports: settings.imports }
      return importAdapter(deps, actor, input)
    })
  },
}
