import { AppError } from '@punica/schema'
import { perform } from '../audit/perform.ts'
import type {
  AdapterUploadResolvers,
  MutationResolvers,
  QueryResolvers,
  SubscriptionResolvers,
  UploadStatus,
} from '../generated/graphql.ts'
import type { Prisma } from '../generated/prisma/client.ts'
import { administers, requireAdminOf } from '../keys/actor.ts'
import { parsePage, toConnection } from '../server/connection.ts'
import type { Context } from '../server/context.ts'
import { createAdapterUpload, uploadFiles } from './create-upload.ts'
import { requireUpload } from './find-upload.ts'
import { type PublishDeps, publishAdapter } from './publish.ts'
import { followUpload, problemOf, statusOf } from './upload-status.ts'

export const uploadQueries: Pick<QueryResolvers, 'adapterUpload' | 'adapterUploads'> = {
  adapterUpload: async (_, { id }, { actor, db }) =>
    requireUpload(db, actor, id).catch((cause: unknown) => {
      if (cause instanceof AppError && cause.code === 'not_found') return null
      throw cause
    }),

  adapterUploads: async (_, { tenant, status, ...args }, { actor, db }) => {
    const slug = tenant ?? actor.tenant?.slug
    if (slug !== undefined || actor.role !== 'OPERATOR') requireAdminOf(actor, slug ?? '')
    const page = parsePage(args)
    const rows = await db.adapterUpload.findMany({
      where: {
        ...(slug === undefined ? {} : { tenant: { slug } }),
        ...(status === undefined || status === null ? {} : whereStatus(status)),
        ...(page.after === null ? {} : { id: { lt: page.after } }),
      },
      orderBy: { id: 'desc' },
      take: page.take + 1,
    })
    return toConnection(rows, page)
  },
}

/** What statusOf says, as a condition. */
const whereStatus = (status: UploadStatus): Prisma.AdapterUploadWhereInput => {
  const now = new Date()
  const open = { expiresAt: { gt: now } }
  const isChecked = { status: 'VALIDATING', checkedUntil: { gte: now } } as const
  switch (status) {
    case 'READY':
      return { status }
    case 'VALIDATING':
      return isChecked
    case 'REJECTED':
      return { status, ...open }
    case 'PENDING':
      return { ...open, status: { in: ['PENDING', 'VALIDATING'] }, NOT: isChecked }
    case 'EXPIRED':
      return { expiresAt: { lte: now }, status: { not: 'READY' }, NOT: isChecked }
  }
}

/** What publishing an upload uses of a mutation's context. */
export const toPublishDeps = (context: Context, commit: PublishDeps['commit']): PublishDeps => {
  const { db, store, inspections, probeAdapter, actor } = context
  return { db, store, inspections, probeAdapter, commit, actor: actor.keyPrefix }
}

export const uploadMutations: Pick<MutationResolvers, 'createAdapterUpload' | 'publishAdapter'> = {
  createAdapterUpload: (_, { input }, context) => {
    const act = { action: 'createAdapterUpload', tenant: input.tenant, target: input.name }
    return perform(context, act, async (commit) => {
      requireAdminOf(context.actor, input.tenant)
      return createAdapterUpload(commit, input)
    })
  },

  publishAdapter: (_, { input: { uploadId, ...options } }, context) => {
    const act: Parameters<typeof perform>[1] = { action: 'publishAdapter', target: uploadId }
    return perform(context, act, async (commit) => {
      const upload = await requireUpload(context.db, context.actor, uploadId)
      act.tenant = upload.tenant.slug
      return publishAdapter(toPublishDeps(context, commit), upload, options)
    })
  },
}

export const uploadSubscriptions: Pick<SubscriptionResolvers, 'adapterStatus'> = {
  adapterStatus: {
    subscribe: (_, { uploadId }, context) => followUpload(context, uploadId),
  },
}

export const AdapterUpload: AdapterUploadResolvers = {
  tenant: ({ tenantId }, _, { loaders }) => loaders.tenant.load(tenantId),
  baseModel: ({ baseModelName }) => baseModelName,
  status: (upload) => statusOf(upload),
  problem: (upload) => problemOf(upload),
  version: ({ versionId }, _, { loaders }) =>
    versionId === null ? null : loaders.version.load(versionId),
  files: async ({ id, tenantId }, _, { actor, loaders, settings }) => {
    if (!administers(actor, tenantId)) throw new AppError('forbidden', 'This needs an admin key')
    const { whole, incoming } = await loaders.filesOfUpload.load(id)
    return Object.entries(uploadFiles).map(([name, maxBytes]) => {
      const file = whole.find((one) => one.name === name)
      const received = incoming.find((one) => one.name === name)?.receivedBytes
      return {
        name,
        url: `${settings.publicUrl()}/uploads/${id}/${name}`,
        maxBytes,
        receivedBytes: received ?? file?.sizeBytes ?? 0,
        digest: received === undefined ? (file?.digest ?? null) : null,
      }
    })
  },
}
