import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, type ErrorCode, toAppError } from '@punica/schema'
import type { Database, Transaction } from '../db/database.ts'
import { Prisma } from '../generated/prisma/client.ts'
import { keepOpen } from './find-upload.ts'

/** The right to check an upload, for as long as this process is alive. */
export type Claim = {
  /** Throws AppError `conflict` where it is lost: a file was replaced meanwhile. */
  require(tx: Transaction): Promise<void>
  /** Gives it up: what was found is the files' fault, or only that the check could not be made. */
  release(cause: unknown): Promise<void>
  /** Ends it with a version, in the transaction that makes that. */
  finish(tx: Transaction, versionId: string): Promise<void>
  stop(): void
}

/** A claim that is not renewed for so long is of a process that died. */
const leaseMs = 15_000
const renewMs = 5_000
/** Long enough for such a one to run out. */
const waitMs = 20_000
const pollMs = 250

/** Errors that are the files' fault. */
const rejecting: ReadonlySet<ErrorCode> = new Set(['adapter_invalid', 'adapter_incompatible'])

/**
 * Claims an upload, whose status is VALIDATING then. Where another call checks it, this one waits
 * for its end; null: that has made it READY. Throws AppError `unavailable` where it takes long.
 */
export const claimCheck = async (db: Database, uploadId: string): Promise<Claim | null> => {
  const giveUpAt = Date.now() + waitMs
  for (;;) {
    const checkedUntil = await tryClaim(db, uploadId)
    if (checkedUntil !== null) return holdClaim(db, uploadId, checkedUntil)
    const row = await db.adapterUpload.findUnique({ where: { id: uploadId } })
    if (row === null || row.versionId !== null) return null
    if (Date.now() > giveUpAt) {
      throw new AppError('unavailable', 'The upload is being checked; follow adapterStatus', {
        retryAfterMs: 1_000,
      })
    }
    await sleep(pollMs)
  }
}

const tryClaim = async (db: Database, id: string): Promise<Date | null> => {
  const now = new Date()
  const checkedUntil = new Date(now.getTime() + leaseMs)
  const { count } = await db.adapterUpload.updateMany({
    where: {
      id,
      OR: [{ status: { in: ['PENDING', 'REJECTED'] } }, { checkedUntil: { lt: now } }],
    },
    data: { status: 'VALIDATING', checkedUntil, problem: Prisma.DbNull },
  })
  return count === 1 ? checkedUntil : null
}

const holdClaim = (db: Database, id: string, first: Date): Claim => {
  let checkedUntil = first
  let renewal = Promise.resolve()
  const renew = async (): Promise<void> => {
    const next = new Date(Date.now() + leaseMs)
    const where = { id, status: 'VALIDATING', checkedUntil } as const
    const { count } = await db.adapterUpload.updateMany({ where, data: { checkedUntil: next } })
    if (count === 1) checkedUntil = next
    await keepOpen(db, id)
  }
  const timer = setInterval(() => {
    // What could not be renewed now is at the next turn; a claim that is lost is noticed at its end.
    renewal = renewal.then(renew).catch(() => {})
  }, renewMs)
  const stop = async (): Promise<void> => {
    clearInterval(timer)
    await renewal
  }

  return {
    require: async (tx) => {
      await stop()
      const row = await tx.adapterUpload.findUnique({ where: { id } })
      if (row?.checkedUntil?.getTime() === checkedUntil.getTime()) return
      throw new AppError('conflict', 'A file was replaced while it was checked; publish again')
    },
    release: async (cause) => {
      await stop()
      const { code, message, param } = toAppError(cause)
      const status = rejecting.has(code) ? 'REJECTED' : 'PENDING'
      const problem = { code, message, field: param ?? null }
      const where = { id, status: 'VALIDATING', checkedUntil } as const
      await db.adapterUpload.updateMany({ where, data: { status, checkedUntil: null, problem } })
    },
    finish: async (tx, versionId) => {
      const data = {
        status: 'READY',
        checkedUntil: null,
        problem: Prisma.DbNull,
        versionId,
      } as const
      await tx.adapterUpload.update({ where: { id }, data })
    },
    stop: () => clearInterval(timer),
  }
}
