import { AppError, systemPermissions } from '@punica/schema'
import type { NatsConnection } from 'nats'
import { type Account, decode, encodeAccount, fromPublic, fromSeed } from 'nats-jwt'
import { z } from 'zod'
import { connectNats, type NatsOptions } from './nats-connection.ts'

/** Users' public keys, each with the time (unix seconds) up to which what was issued is refused. */
export type Revocations = Readonly<Record<string, number>>

/** Changes what nats-server believes of the account whose users the programs and tenants are. */
export type AccountClaims = {
  /** The users that are refused now. */
  revocations(): Promise<Revocations>
  /**
   * Refuses these users and no others: the server closes their connections at once and, as it keeps
   * the claims, lets none of them in after a restart either. Rejects with AppError `unavailable`.
   */
  revoke(revocations: Revocations): Promise<void>
  close(): Promise<void>
}

const timeoutMs = 3_000

const UpdateReply = z.object({
  data: z.object({ code: z.number() }).optional(),
  error: z.object({ description: z.string() }).optional(),
})

/**
 * Connects as a user of the system account. `operatorSeed` signs the account's claims; with it
 * whoever holds it can admit anybody, so it belongs to the control plane and nobody else.
 */
export const connectAccountClaims = async ({
  account,
  operatorSeed,
  ...options
}: NatsOptions & { account: string; operatorSeed: string }): Promise<AccountClaims> => {
  const connection = await connectNats(options)
  const [update, lookup] = systemPermissions(account).publish
  const signer = fromSeed(new TextEncoder().encode(operatorSeed))

  const current = async () => {
    const jwt = await ask(connection, lookup ?? '', '')
    return decode<Account>(jwt)
  }

  return {
    revocations: async () => (await current()).nats.revocations ?? {},
    revoke: async (revocations) => {
      const { name, nats, iat } = await current()
      // The server takes the newer of two claims, by a clock of seconds.
      await untilAfter(iat)
      const jwt = await encodeAccount(
        name,
        fromPublic(account),
        { ...nats, revocations },
        { signer },
      )
      const reply = UpdateReply.parse(JSON.parse(await ask(connection, update ?? '', jwt)))
      if (reply.data?.code === 200) return
      const why = reply.error?.description ?? 'no reason was given'
      throw new AppError('unavailable', `NATS did not take the claims of its account: ${why}`)
    },
    close: () => connection.close(),
  }
}

const ask = async (connection: NatsConnection, subject: string, text: string): Promise<string> => {
  try {
    const reply = await connection.request(subject, text, { timeout: timeoutMs })
    return reply.string()
  } catch (cause) {
    const message = 'NATS answers nobody on its system account; see docs/operations.md'
    throw new AppError('unavailable', message, { cause })
  }
}

const untilAfter = async (seconds: number): Promise<void> => {
  const waitMs = (seconds + 1) * 1_000 - Date.now()
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.min(waitMs, 1_000)))
}
