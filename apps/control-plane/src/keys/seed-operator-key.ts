import type { Database } from '../db/database.ts'
import { parseKey } from './api-key.ts'

const name = 'OPERATOR_KEY'

/**
 * Makes the operator key of the settings valid. The setting is the only one of its kind: a key that
 * it had before is revoked, so that changing it locks the old one out. A key that was revoked stays
 * revoked.
 */
export const seedOperatorKey = async (db: Database, key: string): Promise<void> => {
  const identity = parseKey(key)
  if (identity === null) throw new Error('OPERATOR_KEY is malformed')
  const { prefix, hash } = identity
  await db.$transaction(async (tx) => {
    const known = await tx.apiKey.findUnique({ where: { prefix } })
    if (known?.hash === hash) return
    if (known !== null)
      throw new Error('OPERATOR_KEY has the prefix of another key; make a new one')
    await tx.apiKey.updateMany({
      where: { tenantId: null, name, revokedAt: null },
      data: { revokedAt: new Date() },
    })
    await tx.apiKey.create({ data: { prefix, hash, name, scopes: [] } })
    const event = { actor: 'settings', role: 'OPERATOR', action: 'seedOperatorKey', outcome: 'ok' }
    await tx.auditEvent.create({ data: { ...event, target: prefix } })
  })
}
