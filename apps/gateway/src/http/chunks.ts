import type { Usage } from '@punica/schema'
import type { Origin } from '../requests/sequence.ts'

/** The chunks of one stream, as JSON. */
export type Chunks = {
  /** One choice's piece, and the step that made it. */
  piece(choice: object, origin: Origin | null): string
  /** The last one, without choices. */
  usage(usage: Usage, origin: Origin | null): string
}

/**
 * What all chunks of a stream have in common is written once: a chunk is made for every token, and
 * its choice is the smaller part of it. `includeUsage`: chunks say that the usage is still to come.
 */
export const createChunks = (
  envelope: object,
  { includeUsage }: { includeUsage: boolean },
): Chunks => {
  const head = `${JSON.stringify(envelope).slice(0, -1)},"choices":[`
  const noUsage = includeUsage ? ',"usage":null' : ''
  let tailOf: Origin | null = null
  let tail = '}'

  const toTail = (origin: Origin | null): string => {
    if (origin !== tailOf) {
      tailOf = origin
      tail = origin === null ? '}' : `,${JSON.stringify(toExtra(origin)).slice(1)}`
    }
    return tail
  }
  return {
    piece: (choice, origin) => `${head}${JSON.stringify(choice)}]${noUsage}${toTail(origin)}`,
    usage: (usage, origin) => `${head}],"usage":${JSON.stringify(usage)}${toTail(origin)}`,
  }
}

/** Beyond OpenAI's shape: the node that made the newest token, and its company there. */
export const toExtra = (origin: Origin | null) =>
  origin === null ? {} : { punica: { node: origin.nodeId, adapters_in_batch: origin.numAdapters } }
