import type { Client } from '@punica/client'
import { type ChatPiece, type ChatTarget, streamChat } from '../gateway/stream-chat.ts'
import type { Job } from './adapters.ts'

/** Asks a job and streams the answer, whichever way it comes; rejects with AppError. */
export type Ask = (job: Job, signal: AbortSignal) => AsyncIterable<ChatPiece>

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

/** Over OpenAI's API. */
export const askOverHttp =
  (target: ChatTarget): Ask =>
  (job, signal) =>
    streamChat(target, toBody(job), signal)
