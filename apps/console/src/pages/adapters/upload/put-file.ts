import type { Problem } from '../../../connection/problem.ts'

type Options = {
  file: File
  /** As the control plane gave it. */
  url: string
  key: string
  signal: AbortSignal
  onProgress: (progress: PutProgress) => void
}

export type PutProgress = { sentBytes: number; isWaiting: boolean }

const retryMs = 1_500

/**
 * Sends a file. When the connection breaks it asks how much has arrived and goes on from there, for
 * as long as it takes. Resolves with what the control plane refused, or null once all is there.
 */
export const putFile = async (options: Options): Promise<Problem | null> => {
  const { signal, onProgress } = options
  let offset = 0
  while (!signal.aborted) {
    const outcome = await put(options, offset)
    if (outcome !== 'broken') return outcome
    onProgress({ sentBytes: offset, isWaiting: true })
    await new Promise((resolve) => setTimeout(resolve, retryMs))
    const kept = await askKept(options)
    if (kept?.isComplete === true) return null
    offset = kept?.bytes ?? offset
  }
  return { code: 'cancelled', message: 'The upload was stopped.', field: null }
}

/** The console is served by the control plane, whatever name it gives itself. */
const localUrl = (url: string): string => {
  const { pathname, search } = new URL(url, window.location.href)
  return pathname + search
}

const put = (
  { file, url, key, signal, onProgress }: Options,
  offset: number,
): Promise<Problem | null | 'broken'> =>
  new Promise((resolve) => {
    // fetch tells nothing of the progress of a body.
    const request = new XMLHttpRequest()
    request.open('PUT', localUrl(url))
    request.setRequestHeader('authorization', `Bearer ${key}`)
    if (offset > 0) {
      // All bytes may be there already, and only the end still to be said.
      const range = offset === file.size ? '*' : `${offset}-${file.size - 1}`
      request.setRequestHeader('content-range', `bytes ${range}/${file.size}`)
    }
    request.upload.onprogress = ({ loaded }) =>
      onProgress({ sentBytes: offset + loaded, isWaiting: false })
    request.onload = () => {
      if (request.status < 300) onProgress({ sentBytes: file.size, isWaiting: false })
      resolve(request.status < 300 ? null : toProblem(request))
    }
    request.onerror = () => resolve('broken')
    request.onabort = () =>
      resolve({ code: 'cancelled', message: 'The upload was stopped.', field: null })
    signal.addEventListener('abort', () => request.abort())
    request.send(offset === 0 ? file : file.slice(offset))
  })

type Kept = { bytes: number; isComplete: boolean }

const askKept = async ({ url, key }: Options): Promise<Kept | null> => {
  try {
    const { ok, headers } = await fetch(localUrl(url), {
      method: 'HEAD',
      headers: { authorization: `Bearer ${key}` },
    })
    const bytes = Number(headers.get('upload-offset'))
    return ok ? { bytes, isComplete: headers.get('upload-complete') === '?1' } : null
  } catch {
    return null
  }
}

const toProblem = ({ responseText, status }: XMLHttpRequest): Problem | 'broken' => {
  if (status === 502 || status === 503 || status === 504) return 'broken'
  try {
    const { error } = JSON.parse(responseText)
    return { code: String(error.code), message: String(error.message), field: null }
  } catch {
    return { code: 'internal', message: `The upload failed with HTTP ${status}.`, field: null }
  }
}
