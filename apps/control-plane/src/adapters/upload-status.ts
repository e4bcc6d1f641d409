import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { UploadStatus } from '../generated/graphql.ts'
import type { AdapterUpload } from '../generated/prisma/client.ts'
import type { Context } from '../server/context.ts'
import { requireUpload } from './find-upload.ts'

const pollMs = 500

/** A check whose process died is none, and what nobody published in time is over. */
export const statusOf = ({ status, checkedUntil, expiresAt }: AdapterUpload): UploadStatus => {
  const now = Date.now()
  if (status === 'READY') return status
  if (status === 'VALIDATING' && (checkedUntil?.getTime() ?? 0) >= now) return status
  if (expiresAt.getTime() <= now) return 'EXPIRED'
  return status === 'VALIDATING' ? 'PENDING' : status
}

const Problem = z.object({ code: z.string(), message: z.string(), field: z.string().nullable() })

/** As check-claim.ts has written it. */
export const problemOf = ({ problem }: AdapterUpload) => Problem.nullable().parse(problem)

/**
 * The upload now and after each change, until it can change no more. It is looked up twice a second
 * rather than announced: any control plane may be the one that takes its bytes or checks it. Throws
 * AppError `not_found`.
 */
export async function* followUpload(
  { db, actor, loaders }: Pick<Context, 'db' | 'actor' | 'loaders'>,
  uploadId: string,
): AsyncGenerator<{ adapterStatus: AdapterUpload }> {
  const { id } = await requireUpload(db, actor, uploadId)
  let shown = ''
  for (;;) {
    const upload = await db.adapterUpload.findUnique({ where: { id } })
    if (upload === null) return
    const { whole, incoming } = await loaders.filesOfUpload.load(id)
    const status = statusOf(upload)
    const sizes = [whole, incoming].map((files) => files.map((file) => toText(file)))
    const now = JSON.stringify([status, upload.problem, sizes])
    if (now !== shown) yield { adapterStatus: upload }
    shown = now
    if (status === 'READY' || status === 'EXPIRED') return
    await sleep(pollMs)
  }
}

const toText = (file: { name: string; digest?: string; receivedBytes?: bigint }): string =>
  `${file.name} ${file.digest ?? file.receivedBytes}`
