import { once } from 'node:events'
import { AppError } from '@punica/schema'
import type { RequestHandler, Response } from 'express'
import type { Database } from '../db/database.ts'
import { authenticate } from '../keys/authenticate.ts'
import type { Deps } from '../server/context.ts'
import { parseInterval, toConditions, viewerOf } from './filter.ts'
import {
  nameDigests,
  readUsage,
  type UsagePosition,
  type UsageRange,
  type UsageRow,
} from './rows.ts'

const header = 'start,tenant,adapter_digest,adapter,requests,prompt_tokens,generated_tokens\n'
const batchSize = 1_000

/**
 * GET /usage.csv?from&to[&tenant][&adapterDigest][&interval]: the rows of the GraphQL query `usage`.
 * They are read and sent a thousand at a time, and no faster than the client takes them.
 */
export const createCsvHandler =
  ({ db, keyUse }: Pick<Deps, 'db' | 'keyUse'>): RequestHandler =>
  async (request, response, next) => {
    try {
      const actor = await authenticate(db, request.headers.authorization)
      keyUse.note(actor.keyPrefix)
      const text = (name: string): string | undefined => {
        const value = request.query[name]
        if (value === undefined || typeof value === 'string') return value
        throw new AppError('invalid_request', `${name}: is given twice`, { param: name })
      }
      const where = toConditions(actor, {
        tenant: text('tenant') ?? null,
        adapterDigest: text('adapterDigest') ?? null,
        from: parseTime('from', text('from')),
        to: parseTime('to', text('to')),
      })
      const interval = parseInterval(text('interval') ?? 'HOUR')
      response.set('content-type', 'text/csv; charset=utf-8')
      response.set('content-disposition', 'attachment; filename="usage.csv"')
      response.set('x-content-type-options', 'nosniff')
      await send(response, db, { where, interval, viewer: viewerOf(actor) })
    } catch (cause) {
      next(cause)
    }
  }

const parseTime = (name: string, text: string | undefined): Date => {
  const time = new Date(text ?? '')
  if (!Number.isNaN(time.getTime())) return time
  const message = `${name}: must be an instant such as 2030-01-31T12:00:00Z`
  throw new AppError('invalid_request', message, { param: name })
}

const send = async (
  response: Response,
  db: Database,
  { viewer, ...range }: Pick<UsageRange, 'where' | 'interval'> & { viewer: string | null },
): Promise<void> => {
  let after: UsagePosition | null = null
  let isFirst = true
  for (let more = true; more; ) {
    const rows: UsageRow[] = await readUsage(db, { ...range, after, take: batchSize })
    const names = await nameDigests(db, viewer, [...new Set(rows.map((row) => row.adapterDigest))])
    const lines = rows.map((row) => toLine(row, names.get(row.adapterDigest) ?? ''))
    const text = `${isFirst ? header : ''}${lines.join('')}`
    if (response.destroyed) return
    if (text !== '' && !response.write(text)) {
      await Promise.race([once(response, 'drain'), once(response, 'close')])
    }
    isFirst = false
    more = rows.length === batchSize
    after = rows.at(-1) ?? null
  }
  response.end()
}

/** No field has a comma, a quote or a line's end in it: all are names, digests, times and numbers. */
const toLine = (row: UsageRow, adapter: string): string =>
  `${[
    row.start.toISOString(),
    row.tenant,
    row.adapterDigest,
    adapter,
    row.requests,
    row.promptTokens,
    row.generatedTokens,
  ].join(',')}\n`
