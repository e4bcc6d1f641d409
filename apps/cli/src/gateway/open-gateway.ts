import { AppError } from '@punica/schema'
import { z } from 'zod'
import { type ControlOptions, findTenant } from '../connection.ts'
import { connectControlPlane } from '../control-plane/connect.ts'
import { CreateApiKeyDocument, RevokeApiKeyDocument } from '../generated/graphql.ts'
import { requireSetting, resolveSettings, type Settings } from '../settings.ts'
import type { Io } from '../terminal/io.ts'
import { fetchFrom } from './fetch-from.ts'
import type { ChatTarget } from './stream-chat.ts'

/** What a gateway serves for one key. */
export type Gateway = {
  target: ChatTarget
  /** Names that `model` may be. */
  models: readonly string[]
  /** Gives back what was made to call it. */
  close(): Promise<void>
}

/** A key that is made for one command; it ends by itself where the command is killed. */
const lifetimeMs = 3600_000
const visibleMs = 15_000
const pollMs = 50

/**
 * The gateway, with a key that may generate. A key that only administers makes one for its tenant
 * (an operator's for `tenant`), which `close` revokes. Rejects with AppError.
 */
export const openGateway = async (
  options: ControlOptions & { tenant?: string },
  io: Io,
): Promise<Gateway> => {
  const settings = await resolveSettings(options)
  const url = requireSetting(settings, 'gatewayUrl')
  const own = { url, apiKey: requireSetting(settings, 'key') }
  const answer = await listModels(own, io.signal)
  if (answer.type === 'models') return { target: own, ...answer, close: async () => {} }
  if (settings.controlPlaneUrl === null) throw answer.error
  return lendKey(settings, url, options.tenant ?? null, io)
}

const lendKey = async (
  settings: Settings,
  url: string,
  named: string | null,
  { signal }: Io,
): Promise<Gateway> => {
  const access = {
    url: requireSetting(settings, 'controlPlaneUrl'),
    key: requireSetting(settings, 'key'),
  }
  const controlPlane = connectControlPlane({ ...access, signal })
  const tenant = await findTenant(controlPlane, named)
  const { secret, apiKey } = await controlPlane.change(CreateApiKeyDocument, {
    input: {
      tenant,
      name: 'cli, for one command',
      scopes: ['GENERATE'],
      expiresAt: new Date(Date.now() + lifetimeMs).toISOString(),
    },
  })
  // Not with the signal: what was interrupted gives its key back, too.
  const close = async (): Promise<void> => {
    await connectControlPlane(access).change(RevokeApiKeyDocument, { id: apiKey.id })
  }
  const target = { url, apiKey: secret }
  try {
    return { target, models: await untilKnown(target, signal), close }
  } catch (cause) {
    await close()
    throw cause
  }
}

/** A new key reaches the gateways within a moment. */
const untilKnown = async (target: ChatTarget, signal: AbortSignal): Promise<string[]> => {
  const deadlineMs = Date.now() + visibleMs
  for (;;) {
    const answer = await listModels(target, signal)
    if (answer.type === 'models') return answer.models
    if (Date.now() > deadlineMs) throw answer.error
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

type Answer = { type: 'models'; models: string[] } | { type: 'refused'; error: AppError }

const Models = z.object({ data: z.array(z.object({ id: z.string() })) })

const listModels = async ({ url, apiKey }: ChatTarget, signal: AbortSignal): Promise<Answer> => {
  const response = await fetchFrom(
    `${url}/v1/models`,
    { headers: { authorization: `Bearer ${apiKey}` }, signal },
    { what: 'gateway', option: '--gateway' },
  )
  if (response.status === 401 || response.status === 403) {
    const code = response.status === 401 ? 'unauthenticated' : 'forbidden'
    const message = `The gateway at ${url} does not take the key: it is unknown, or may not generate`
    return { type: 'refused', error: new AppError(code, message) }
  }
  if (!response.ok) {
    throw new AppError('unavailable', `The gateway at ${url} answers HTTP ${response.status}`)
  }
  return { type: 'models', models: Models.parse(await response.json()).data.map(({ id }) => id) }
}
