import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import { AppError } from '@punica/schema'
import type { FileSource, ImportSettings } from './import.ts'
import { isPrivateAddress, privateHost, publicLookup } from './private-addresses.ts'

const maxRedirects = 5
/** Without a byte, before and in the answer. */
const idleMs = 30_000

type Settings = Pick<ImportSettings, 'hosts' | 'allowPrivate'>

/**
 * The files below a URL, by http or https. Every address on the way, redirects included, must be of
 * an allowed host and, unless allowed, a public one. Throws AppError `forbidden` for what is not,
 * `not_found`, and `unavailable` for a host that does not answer as it should.
 */
export const urlSource = (settings: Settings, base: string, signal: AbortSignal): FileSource => ({
  open: async (name) => {
    let url = new URL(name, base.endsWith('/') ? base : `${base}/`)
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const response = await get(settings, url, signal)
      const { statusCode: status = 0, headers } = response
      if (status === 200) return toFile(response, url)
      response.destroy()
      if (status === 404) {
        throw new AppError('not_found', `url: there is no ${name} below it`, { param: 'url' })
      }
      if (status < 300 || status >= 400 || headers.location === undefined) {
        throw failed(url, `answered HTTP ${status}`)
      }
      url = parseUrl(headers.location, url)
    }
    throw failed(url, `redirected more than ${maxRedirects} times`)
  },
})

/** Throws AppError `invalid_request` for what is no http or https URL, or carries a password. */
export const parseUrl = (text: string, base?: URL): URL => {
  const url = URL.parse(text, base)
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url !== null && isHttp && url.username === '' && url.password === '') return url
  throw new AppError('invalid_request', 'url: must be an http or https URL without a password', {
    param: 'url',
  })
}

const get = (
  { hosts, allowPrivate }: Settings,
  url: URL,
  signal: AbortSignal,
): Promise<IncomingMessage> => {
  checkHost(hosts, url)
  const literal = url.hostname.replace(/^\[|\]$/g, '')
  if (!allowPrivate && isIP(literal) !== 0 && isPrivateAddress(literal)) {
    throw privateHost(url.hostname)
  }
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      signal,
      timeout: idleMs,
      // What is compressed could grow without a bound.
      headers: { 'accept-encoding': 'identity', 'user-agent': 'punica' },
      ...(allowPrivate ? {} : { lookup: publicLookup }),
    })
    sent.once('timeout', () => sent.destroy(new Error(`nothing came for ${idleMs} ms`)))
    sent.once('response', resolve)
    sent.once('error', (cause) => reject(cause instanceof AppError ? cause : failed(url, cause)))
    sent.end()
  })
}

/** A host is allowed by its name, or by `*.` and a name that it ends with; a port as it is given. */
const checkHost = (hosts: readonly string[], { host }: URL): void => {
  const isAllowed = hosts.some((allowed) =>
    allowed.startsWith('*.') ? host.endsWith(allowed.slice(1)) : host === allowed,
  )
  if (isAllowed) return
  throw new AppError(
    'forbidden',
    `url: ${host} is not among the hosts that IMPORT_HOSTS of the control plane allows`,
    { param: 'url' },
  )
}

const toFile = (response: IncomingMessage, url: URL) => {
  const { 'content-encoding': encoding = 'identity', 'content-length': length } = response.headers
  if (encoding !== 'identity') {
    response.destroy()
    throw failed(url, `answered with the encoding ${encoding}, though none was asked for`)
  }
  const sizeBytes = length === undefined ? null : Number(length)
  return { body: readWhole(response, url), sizeBytes, close: () => response.destroy() }
}

async function* readWhole(response: IncomingMessage, url: URL): AsyncGenerator<Uint8Array> {
  try {
    yield* response
  } catch (cause) {
    throw failed(url, cause)
  }
}

const failed = (url: URL, cause: unknown): AppError => {
  const why = cause instanceof Error ? 'broke off or could not be reached' : String(cause)
  return new AppError('unavailable', `url: ${url.host} ${why}`, { cause, param: 'url' })
}
