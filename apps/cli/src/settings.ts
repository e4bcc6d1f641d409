import { environment } from './environment.ts'
import { findRunning } from './launch/running.ts'
import { UsageError } from './usage-error.ts'

/** Where a command was told that the system is. */
export type ConnectionOptions = { data: string; url?: string; gateway?: string; key?: string }

export type Settings = {
  controlPlaneUrl: string | null
  gatewayUrl: string | null
  key: string | null
}

/**
 * What to connect to: flags, then the environment, then the system that `punica up` runs on the data
 * folder. The folder's own key goes to the folder's own system alone. Throws UsageError for a URL
 * that is none.
 */
export const resolveSettings = async ({
  data,
  url,
  gateway,
  key,
}: ConnectionOptions): Promise<Settings> => {
  const { PUNICA_URL, PUNICA_GATEWAY_URL, PUNICA_KEY } = environment
  const controlPlaneUrl = toUrl(url ?? PUNICA_URL, '--url or PUNICA_URL')
  const gatewayUrl = toUrl(gateway ?? PUNICA_GATEWAY_URL, '--gateway or PUNICA_GATEWAY_URL')
  const given = { controlPlaneUrl, gatewayUrl, key: key ?? PUNICA_KEY ?? null }
  const running = await findRunning(data)
  if (running === null) return given
  const isOurs =
    [null, running.controlPlaneUrl].includes(controlPlaneUrl) &&
    [null, running.gatewayUrl].includes(gatewayUrl)
  if (!isOurs) return given
  return {
    controlPlaneUrl: running.controlPlaneUrl,
    gatewayUrl: running.gatewayUrl,
    key: given.key ?? running.operatorKey,
  }
}

/** Throws UsageError that says how to name what is missing. */
export const requireSetting = (settings: Settings, name: keyof Settings): string => {
  const value = settings[name]
  if (value !== null) return value
  throw new UsageError(
    `${missing[name]}, or start a system here with \`punica up\` (its folder is named by --data).`,
  )
}

const missing: Record<keyof Settings, string> = {
  controlPlaneUrl: 'No control plane is known: name it with --url or in PUNICA_URL',
  gatewayUrl: 'No gateway is known: name it with --gateway or in PUNICA_GATEWAY_URL',
  key: 'No API key is known: give one in PUNICA_KEY or with --key',
}

const toUrl = (text: string | undefined, source: string): string | null => {
  if (text === undefined || text === '') return null
  if (/^https?:\/\/[^/\s]+/.test(text) && URL.canParse(text)) return text.replace(/\/+$/, '')
  throw new UsageError(`${source}: ${text} is no http or https URL`)
}
