import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import type { ChatPiece } from '../gateway/stream-chat.ts'
import { adapters, type Job } from './adapters.ts'
import { askOverHttp } from './answers.ts'

const toJob = (): Job => {
  const adapter = adapters[0]
  if (adapter === undefined) throw new Error('no adapters')
  return { adapter, prompt: 'How many?', expected: '7', maxTokens: 8 }
}

const server = createServer()
afterEach(() => {
  server.removeAllListeners('request')
  server.closeAllConnections()
  server.close()
})

/** Asks a server that answers as it is told to. */
const ask = async (respond: (response: ServerResponse) => void): Promise<ChatPiece[]> => {
  server.on('request', (_, response) => respond(response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  const url = `http://127.0.0.1:${address.port}`
  const pieces: ChatPiece[] = []
  const stream = askOverHttp({ url, apiKey: 'key' })(toJob(), new AbortController().signal)
  for await (const piece of stream) pieces.push(piece)
  return pieces
}

const chunk = (content: string | null, rest: object = {}): string =>
  `data: ${JSON.stringify({ choices: content === null ? [] : [{ delta: { content } }], ...rest })}\n\n`
const punica = { node: 'node-1', adapters_in_batch: 3 }

describe('askOverHttp', () => {
  test('reads the events, wherever the network cuts them', async () => {
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
    const text = [
      chunk(''),
      chunk('né', { punica }),
      chunk('e', { punica }),
      chunk(null, { usage }),
      'data: [DONE]\n\n',
    ].join('')
    const pieces = await ask(async (response) => {
      for (const byte of Buffer.from(text)) response.write(Uint8Array.of(byte))
      response.end()
    })
    expect(pieces).toEqual([
      { type: 'text', text: 'né', nodeId: 'node-1', numAdapters: 3 },
      { type: 'text', text: 'e', nodeId: 'node-1', numAdapters: 3 },
      { type: 'end', numTokens: 2 },
    ])
  })

  test('rejects with the error of the gateway', async () => {
    const error = { code: 'model_not_found', message: 'no such model', type: 'x', param: 'model' }
    const asked = ask((response) => response.writeHead(404).end(JSON.stringify({ error })))
    await expect(asked).rejects.toMatchObject({ code: 'model_not_found', message: 'no such model' })
  })

  test('rejects with an error in the stream', async () => {
    const error = { code: 'overloaded', message: 'full' }
    const asked = ask((response) =>
      response.end(`${chunk('a', { punica })}data: ${JSON.stringify({ error })}\n\n`),
    )
    await expect(asked).rejects.toMatchObject({ code: 'overloaded' })
  })

  test('does not take a stream that ends early for an answer', async () => {
    const asked = ask((response) => response.end(chunk('a', { punica })))
    await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('says where nobody answers', async () => {
    const asked = ask((response) => response.destroy())
    await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
  })
})
