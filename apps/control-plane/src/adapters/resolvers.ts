import { AppError } from '@punica/schema'
import { type Act, perform } from '../audit/perform.ts'
import type {
  AdapterResolvers,
  AdapterUploadResolvers,
  MutationResolvers,
  QueryResolvers,
} from '../generated/graphql.ts'
import { administers, requireAdminOf } from '../keys/actor.ts'
import { parsePage, toConnection } from '../server/connection.ts'
import { createAdapterUpload, uploadFiles } from './create-upload.ts'
import { requireUpload } from './find-upload.ts'
import { grantAdapter, revokeAdapterGrant } from './grant.ts'
import { publishAdapter } from './publish.ts'

export const adapterQueries: Pick<QueryResolvers, 'adapters' | 'adapter'> = {
  adapters: async (_, { tenant, search, ...args }, { actor, db }) => {
    const slug = tenant ?? actor.tenant?.slug
    if (actor.tenant !== null && slug !== actor.tenant.slug) {
      throw new AppError('forbidden', `This key may not list the adapters of tenant ${slug}`)
    }
    const page = parsePage(args)
    const rows = await db.adapter.findMany({
      where: {
        ...(slug === undefined ? {} : { tenant: { slug } }),
        ...(search === undefined || search === null
          ? {}
          : { name: { contains: escapeLike(search) } }),
        ...(page.after === null ? {} : { id: { gt: page.after } }),
      },
      orderBy: { id: 'asc' },
      take: page.take + 1,
    })
    return toConnection(rows, page)
  },

  adapter: (_, { tenant, name }, { actor, db }) => {
    const mine = actor.tenant?.id
    return db.adapter.findFirst({
      where: {
        tenant: { slug: tenant },
        name,
        ...(mine === undefined
          ? {}
          : { OR: [{ tenantId: mine }, { grants: { some: { tenantId: mine } } }] }),
      },
    })
  },
}

/** Prisma hands the text to LIKE as it is, and names have underscores. */
const escapeLike = (text: string): string => text.replaceAll(/[\\%_]/g, '\\$&')

export const adapterMutations: Pick<
  MutationResolvers,
  'createAdapterUpload' | 'publishAdapter' | 'grantAdapter' | 'revokeAdapterGrant'
> = {
  createAdapterUpload: (_, { input }, context) => {
    const act = { action: 'createAdapterUpload', tenant: input.tenant, target: input.name }
    return perform(context, act, async (commit) => {
      requireAdminOf(context.actor, input.tenant)
      return createAdapterUpload(commit, input)
    })
  },

  publishAdapter: (_, { input }, context) => {
    const act: Act = { action: 'publishAdapter', target: input.uploadId }
    return perform(context, act, async (commit) => {
      const { actor, db, store, inspections } = context
      const upload = await requireUpload(db, actor, input.uploadId)
      act.tenant = upload.tenant.slug
      return inspections.run(() => publishAdapter({ store, commit }, upload))
    })
  },

  grantAdapter: (_, { input }, context) => {
    const act = {
      action: 'grantAdapter',
      tenant: input.tenant,
      target: `${input.name} to ${input.to}`,
    }
    return perform(context, act, async (commit) => {
      requireAdminOf(context.actor, input.tenant)
      return grantAdapter(commit, input)
    })
  },

  revokeAdapterGrant: (_, { input }, context) => {
    const act = {
      action: 'revokeAdapterGrant',
      tenant: input.tenant,
      target: `${input.name} to ${input.to}`,
    }
    return perform(context, act, async (commit) => {
      requireAdminOf(context.actor, input.tenant)
      return revokeAdapterGrant(commit, input)
    })
  },
}

export const Adapter: AdapterResolvers = {
  tenant: ({ tenantId }, _, { loaders }) => loaders.tenant.load(tenantId),
  baseModel: ({ baseModelName }) => baseModelName,
  versions: ({ id }, _, { loaders }) => loaders.versionsOfAdapter.load(id),
  grants: ({ id, name, tenantId }, _, { actor, loaders }) => {
    if (administers(actor, tenantId)) return loaders.grantsOfAdapter.load(id)
    throw new AppError('forbidden', `This key may not see the grants of adapter ${name}`)
  },
}

export const AdapterUpload: AdapterUploadResolvers = {
  files: ({ id }, _, { settings }) =>
    Object.entries(uploadFiles).map(([name, maxBytes]) => ({
      name,
      url: `${settings.publicUrl()}/uploads/${id}/${name}`,
      maxBytes,
    })),
}
