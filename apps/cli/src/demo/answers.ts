import type { Client } from '@punica/client'
import { AppError, type ErrorCode, errors } from '@punica/schema'
import { z } from 'zod'
import type { Job } from './adapters.ts'

/** What an answer is made of as it arrives, whichever way it comes. */
export type Piece =
  | { type: 'text'; text: string; nodeId: string; numAdapters: number }
  | { type: 'end'; numTokens: number }

/** Asks a job and streams the answer; rejects with AppError. */
export type Ask = (job: Job, signal: AbortSignal) => AsyncIterable<Piece>

const toBody = ({ adapter, prompt, maxTokens }: Job) => ({
  model: adapter.name,
  messages: [{ role: 'user' as const, content: prompt }],
  max_tokens: maxTokens,
  temperature: 0,
})

/** Over the NATS API. */
export const askOverNats = (client: Pick<Client, 'chat'>): Ask =>
  async function* ask(job, signal) {
    for await (const event of client.chat(toBody(job), { signal })) {
      if (event.type === 'delta') {
        const { text, nodeId, numAdapters } = event
        yield { type: 'text', text, nodeId, numAdapters }
      }
      if (event.type === 'done') yield { type: 'end', numTokens: event.usage.completion_tokens }
    }
  }

const Chunk = z.object({
  choices: z.array(z.object({ delta: z.object({ content: z.string().nullish() }) })),
  usage: z.object({ completion_tokens: z.int() }).nullish(),
  punica: z.object({ node: z.string(), adapters_in_batch: z.int() }).optional(),
})
const Failure = z.object({ error: z.object({ code: z.string().nullish(), message: z.string() }) })

/** Over OpenAI's API, as server-sent events. */
export const askOverHttp = ({ url, apiKey }: { url: string; apiKey: string }): Ask =>
  async function* ask(job, signal) {
    const body = { ...toBody(job), stream: true, stream_options: { include_usage: true } }
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify(body),
      signal,
    }).catch((cause) => {
      throw new AppError('unavailable', `no answer from ${url}`, { cause })
    })
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
    const { code, message } = Failure.parse(JSON.parse(text)).error
    return new AppError(isErrorCode(code) ? code : 'internal', message)
  } catch (cause) {
    return new AppError('internal', `an answer that cannot be read: ${text.slice(0, 200)}`, {
      cause,
    })
  }
}
