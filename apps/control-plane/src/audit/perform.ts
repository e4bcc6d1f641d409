import { type AppError, toAppError } from '@punica/schema'
import type { Logger } from '@punica/service'
import type { OutboxKind, Projector } from '../catalog/projector.ts'
import { type Database, explainDatabaseError, type Transaction } from '../db/database.ts'
import type { Actor } from '../keys/actor.ts'

type Deps = { db: Database; projector: Pick<Projector, 'settle'>; log: Logger; actor: Actor }

/** What is done, in the words of the audit log. */
export type Act = {
  /** The mutation's name. */
  action: string
  /** Slug of the tenant that it is about; may be set once it is known. */
  tenant?: string | undefined
  target?: string | undefined
}

/** A change under way. `changed` names a catalog record that must be written once it is committed. */
export type Change = { tx: Transaction; changed(kind: OutboxKind, key: string): void }

/** Makes a change with its audit event and outbox entries: all of it or nothing. */
export type Commit = <T>(body: (change: Change) => Promise<T>) => Promise<T>

export type Problem = {
  __typename: 'ProblemError'
  code: string
  message: string
  field: string | null
}

/**
 * Performs a mutation. What goes wrong becomes a ProblemError and is kept in the audit log like
 * what went well; an unknown error shows the caller nothing of itself.
 */
export const perform = async <T>(
  { db, projector, log, actor }: Deps,
  act: Act,
  work: (commit: Commit) => Promise<T>,
): Promise<T | Problem> => {
  const toEvent = (outcome: string) => ({
    actor: actor.keyPrefix,
    role: actor.role,
    action: act.action,
    tenant: toStorable(act.tenant),
    target: toStorable(act.target),
    outcome,
  })
  const commit: Commit = async (body) => {
    const result = await db.$transaction(async (tx) => {
      const entries: { kind: OutboxKind; key: string }[] = []
      const made = await body({ tx, changed: (kind, key) => void entries.push({ kind, key }) })
      if (entries.length > 0) await tx.outboxEntry.createMany({ data: entries })
      await tx.auditEvent.create({ data: toEvent('ok') })
      return made
    })
    await projector.settle()
    return result
  }
  try {
    return await work(commit)
  } catch (cause) {
    const error = toAppError(explainDatabaseError(cause))
    if (error.code === 'internal')
      log.error({ err: error.cause, action: act.action }, 'mutation failed')
    await db.auditEvent
      .create({ data: toEvent(error.code) })
      .catch((err: unknown) => log.error({ err, act }, 'audit event not kept'))
    return toProblem(error)
  }
}

/** A refused request may name anything at any length. */
const toStorable = (text: string | undefined): string | null =>
  text?.slice(0, 256).replaceAll('\0', '') ?? null

const toProblem = ({ code, message, param }: AppError): Problem => ({
  __typename: 'ProblemError',
  code,
  message,
  field: param ?? null,
})
