import { createHash } from 'node:crypto'
import type { AdapterRef, Task } from '@punica/schema'

export const task = (requestId: string, rest: Partial<Task> = {}): Task => ({
  requestId,
  attempt: 0,
  gatewayId: 'gw',
  tenant: 'acme',
  adapter: null,
  tokens: [1, 2, 3],
  numPromptTokens: 3,
  maxNewTokens: 3,
  stopTokens: [],
  ignoreEos: false,
  sampling: { seed: 7 },
  arrivalMs: 0,
  deadlineMs: 10 ** 15,
  ...rest,
})

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** An adapter of two small files, and a source that has them. */
export const storedAdapter = (name: string, numBytes = 100) => {
  const config = `{"name":"${name}"}`
  const weights = name.repeat(numBytes).slice(0, numBytes)
  const files: AdapterRef['files'] = [
    { name: 'adapter_config.json', digest: sha256(config), sizeBytes: config.length },
    { name: 'adapter_model.safetensors', digest: sha256(weights), sizeBytes: weights.length },
  ]
  const ref: AdapterRef = { digest: sha256(name), rank: 8, sizeBytes: 300, files }
  return { ref, contents: new Map([config, weights].map((text) => [sha256(text), text])) }
}

/** Hands out what `contents` has, in small chunks, and counts how often it was asked. */
export const createFakeSource = (...stored: { contents: Map<string, string> }[]) => {
  const contents = new Map(stored.flatMap((adapter) => [...adapter.contents]))
  const asked: string[] = []
  return {
    contents,
    asked,
    async *get(digest: string): AsyncIterable<Uint8Array> {
      asked.push(digest)
      const content = contents.get(digest)
      if (content === undefined) throw new Error('not there')
      for (let from = 0; from < content.length; from += 16) {
        yield new TextEncoder().encode(content.slice(from, from + 16))
      }
    },
  }
}
