import { AppError, type ErrorCode, errors } from '@punica/schema'
import { z } from 'zod'
import { fetchFrom } from './fetch-from.ts'

/** What an answer is made of as it arrives. */
export type ChatPiece =
  | { type: 'text'; text: string; nodeId: string; numAdapters: number }
  | { type: 'end'; numTokens: number }

export type ChatTarget = { url: string; apiKey: string }

const Chunk = z.object({
  choices: z.array(z.object({ delta: z.object({ content: z.string().nullish() }) })),
  usage: z.object({ completion_tokens: z.int() }).nullish(),
  punica: z.object({ node: z.string(), adapters_in_batch: z.int() }).optional(),
})
const Refusal = z.object({ error: z.object({ code: z.string().nullish(), message: z.string() }) })

/**
 * A chat completion over OpenAI's API, as it arrives by server-sent events. `body` is the request's
 * without the fields about streaming. Rejects with AppError.
 */
export async function* streamChat(
  { url, apiKey }: ChatTarget,
  body: Record<string, unknown>,
  signal: AbortSignal,
): AsyncGenerator<ChatPiece, void> {
  const response = await fetchFrom(
    `${url}/v1/chat/completions`,
    {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
      signal,
    },
    { what: 'gateway', option: '--gateway' },
  )
  if (!response.ok || response.body === null) throw toError(await response.text())
  for await (const data of eventsOf(response.body)) {
    if (data === '[DONE]') return
    const chunk = Chunk.safeParse(JSON.parse(data))
    if (!chunk.success) throw toError(data)
    const { choices, usage, punica } = chunk.data
    const text = choices[0]?.delta.content ?? ''
    if (text !== '' && punica !== undefined) {
      yield { type: 'text', text, nodeId: punica.node, numAdapters: punica.adapters_in_batch }
    }
    if (usage != null) yield { type: 'end', numTokens: usage.completion_tokens }
  }
  throw new AppError('unavailable', 'the stream ended before the answer was complete')
}

/** The data of each server-sent event. */
async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of body) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length)
  }
}

const isErrorCode = (code: string | null | undefined): code is ErrorCode =>
  code != null && code in errors

const toError = (text: string): AppError => {
  try {
    const { code, message } = Refusal.parse(JSON.parse(text)).error
    return new AppError(isErrorCode(code) ? code : 'internal', message)
  } catch (cause) {
    const message = `an answer that cannot be read: ${text.slice(0, 200)}`
    return new AppError('internal', message, { cause })
  }
}
