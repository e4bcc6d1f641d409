import { setTimeout as delay } from 'node:timers/promises'
import { AppError, errorCodes } from '@punica/schema'
import { z } from 'zod'

export type Exchange = {
  /** Of the control plane. */
  url: string
  token: string
  nodeId: string
}

const Joined = z.object({ nodeId: z.string(), pool: z.string(), creds: z.string().min(1) })
export type Joined = z.output<typeof Joined>

const Refused = z.object({ error: z.object({ code: z.enum(errorCodes), message: z.string() }) })

const answerMs = 30_000
const firstPauseMs = 250
const maxPauseMs = 10_000
/** Whoever started the process then starts it again, and its log says what is missing. */
const giveUpMs = 5 * 60_000

/**
 * Asks the control plane for the node's credential, POST `/nodes/join`, again while it cannot answer:
 * the same token gives the same node a new credential where an answer was lost. Rejects with the
 * AppError of a refusal (`unauthenticated` for a token that is spent, expired or revoked, `conflict`,
 * `quota_exceeded`), with `unavailable` after five minutes, and with `cancelled` by the signal.
 */
export const exchangeToken = async (
  signal: AbortSignal,
  exchange: Exchange,
  log: { warn(fields: object, message: string): void },
): Promise<Joined> => {
  const endMs = Date.now() + giveUpMs
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(maxPauseMs, 2 * pauseMs)) {
    try {
      return await askOnce(signal, exchange)
    } catch (cause) {
      if (signal.aborted) throw new AppError('cancelled', 'Told to stop before the node had joined')
      if (!isWorthAnother(cause) || Date.now() + pauseMs > endMs) throw cause
      log.warn({ err: cause, pauseMs }, 'not joined yet')
      await delay(pauseMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {})
    }
  }
}

const askOnce = async (signal: AbortSignal, { url, token, nodeId }: Exchange): Promise<Joined> => {
  const response = await send(signal, `${url}/nodes/join`, { token, nodeId })
  const body: unknown = await response.json().catch(() => null)
  const joined = response.ok ? Joined.safeParse(body) : null
  if (joined?.success) return joined.data
  const refused = Refused.safeParse(body)
  if (refused.success) {
    const { code, message } = refused.data.error
    throw new AppError(code, `The control plane lets node ${nodeId} not join: ${message}`)
  }
  throw new AppError(
    'unavailable',
    `${url} answered ${response.status}, and not as a control plane`,
  )
}

const send = async (signal: AbortSignal, url: string, body: unknown): Promise<Response> => {
  try {
    return await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    })
  } catch (cause) {
    throw new AppError('unavailable', `${url} does not answer`, { cause })
  }
}

/** What the control plane may answer otherwise without anybody having changed a thing. */
const isWorthAnother = (cause: unknown): boolean =>
  cause instanceof AppError && ['unavailable', 'internal', 'deadline_exceeded'].includes(cause.code)
