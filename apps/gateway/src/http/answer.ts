import { AppError, fromWireError } from '@punica/schema'
import type { FastifyReply } from 'fastify'
import type { Gateway, NewCall } from '../gateway.ts'
import type { Call, CallEvent } from '../requests/calls.ts'
import type { Origin } from '../requests/sequence.ts'
import { createChunks, toExtra } from './chunks.ts'
import { toErrorReply } from './errors.ts'
import type { Shape } from './shape.ts'
import { openSse, type SseStream } from './sse.ts'

export type AnswerInput = {
  gateway: Pick<Gateway, 'begin'>
  call: NewCall
  shape: Shape
  reply: FastifyReply
  clock: () => number
}

/** Runs the call to its end and returns the one JSON body. Rejects with the call's error. */
export const answerWhole = async ({
  gateway,
  call,
  shape,
  reply,
  clock,
}: AnswerInput): Promise<object> => {
  const envelope = toEnvelope(call, shape.idPrefix, shape.object, clock())
  const parts: { text: string; details: Piece['details'] }[] = []
  const choices: object[] = []
  let origin: Origin | null = null
  const usage = await untilDone({ gateway, call, reply }, (event) => {
    if (event.type === 'accepted') return
    origin = event.from ?? origin
    const part = parts[event.choice] ?? { text: '', details: [] }
    parts[event.choice] = part
    if (event.type === 'delta') {
      part.text += event.text
      part.details.push(...event.details)
    } else choices[event.choice] = shape.whole(event.choice, part, event.reason)
  })
  for (const [name, value] of Object.entries(toHeaders(origin))) reply.header(name, value)
  return { ...envelope, choices, usage, ...toExtra(origin) }
}

/**
 * Streams the call as server-sent events. The response begins with the first piece of the answer, so
 * that whatever fails before (a full queue, a broken adapter) has its own HTTP status; what fails
 * afterwards is an `error` event, after which the stream ends without `[DONE]`.
 */
export const answerStream = async (
  { gateway, call, shape, reply, clock }: AnswerInput,
  { includeUsage }: { includeUsage: boolean },
): Promise<void> => {
  const envelope = toEnvelope(call, shape.idPrefix, shape.chunkObject, clock())
  const chunks = createChunks(envelope, { includeUsage })
  let stream: SseStream | null = null
  let origin: Origin | null = null

  const send = (open: SseStream, choice: object): void => {
    if (!open.send(chunks.piece(choice, origin)))
      throw new AppError('cancelled', 'The client reads too slowly')
  }
  const open = (): SseStream => {
    reply.hijack()
    const opened = openSse(reply.raw, { ...reply.getHeaders(), ...toHeaders(origin) })
    for (let choice = 0; choice < (call.body.n ?? 1); choice++) {
      const opening = shape.opening(choice)
      if (opening !== null) send(opened, opening)
    }
    return opened
  }

  try {
    const usage = await untilDone({ gateway, call, reply }, (event) => {
      if (event.type === 'accepted') return
      origin = event.from ?? origin
      stream ??= open()
      send(
        stream,
        event.type === 'delta'
          ? shape.piece(event.choice, event)
          : shape.ending(event.choice, event.reason),
      )
    })
    stream ??= open()
    if (includeUsage) stream.send(chunks.usage(usage, origin))
    stream.end('complete')
  } catch (cause) {
    if (stream === null) throw cause
    stream.send(JSON.stringify(toErrorReply(cause).body))
    stream.end('broken')
    if (!(cause instanceof AppError)) reply.log.error({ err: cause }, 'stream failed')
  }
}

type Piece = Extract<CallEvent, { type: 'delta' }>
type Progress = Extract<CallEvent, { type: 'accepted' | 'delta' | 'finished' }>

/** Resolves with the usage when the call is done. A client that goes away cancels it. */
const untilDone = (
  { gateway, call, reply }: Pick<AnswerInput, 'gateway' | 'call' | 'reply'>,
  onProgress: (event: Progress) => void,
): Promise<Extract<CallEvent, { type: 'done' }>['usage']> =>
  new Promise((resolve, reject) => {
    const stop = (cause: unknown): void => {
      reply.raw.off('close', onClose)
      running?.cancel()
      reject(cause)
    }
    const onClose = (): void => stop(new AppError('cancelled', 'The client went away'))
    let running: Call | undefined
    reply.raw.once('close', onClose)
    try {
      running = gateway.begin(call, (event) => {
        if (event.type === 'failed') stop(fromWireError(event.error))
        else if (event.type === 'done') {
          reply.raw.off('close', onClose)
          resolve(event.usage)
        } else {
          try {
            onProgress(event)
          } catch (cause) {
            stop(cause)
          }
        }
      })
    } catch (cause) {
      stop(cause)
    }
  })

const toEnvelope = (
  { requestId, body }: NewCall,
  idPrefix: string,
  object: string,
  nowMs: number,
) => ({
  id: `${idPrefix}-${requestId}`,
  object,
  created: Math.floor(nowMs / 1_000),
  model: body.model,
})

const toHeaders = (origin: Origin | null): Record<string, string> =>
  origin === null ? {} : { 'x-punica-node': origin.nodeId }
