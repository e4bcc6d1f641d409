import { AppError } from '@punica/schema'
import { isObject, type JsonObject } from './model-folder.ts'

/** What each token id contributes to the text, in UTF-8. */
export type TokenBytes = {
  /** Empty for special tokens and for ids outside the vocabulary. */
  bytes(token: number): Uint8Array
  /** Spaces that a decoder strips from the start of a text, because encoding put them there. */
  numLeadingSpaces: number
}

export type VocabEntry = { content: string; added: boolean; special: boolean }

/**
 * Works out every token's bytes once, from the decoder that tokenizer.json describes. Text is then
 * a concatenation of bytes, so a stream costs the same per token however long it is. Throws
 * `invalid_request` naming the decoder when it is not a concatenation; Llama-shaped models have
 * byte-level or byte-fallback ones, which are. In one respect this is kinder than the reference: of
 * byte-fallback bytes that are no UTF-8, it replaces the broken part and not the whole run, since a
 * stream has already given away the characters before it.
 */
export const createTokenBytes = (
  decoder: unknown,
  vocab: readonly (VocabEntry | undefined)[],
): TokenBytes => {
  const { toBytes, numLeadingSpaces } = toDecoding(decoder)
  const starts = new Uint32Array(vocab.length + 1)
  const pieces = vocab.map((entry) => {
    if (entry === undefined || entry.special) return nothing
    return entry.added ? utf8.encode(entry.content) : toBytes(entry.content)
  })
  pieces.forEach((piece, token) => {
    starts[token + 1] = (starts[token] ?? 0) + piece.length
  })
  const all = new Uint8Array(starts[vocab.length] ?? 0)
  pieces.forEach((piece, token) => {
    all.set(piece, starts[token])
  })
  return {
    numLeadingSpaces,
    bytes: (token) =>
      token < vocab.length ? all.subarray(starts[token], starts[token + 1]) : nothing,
  }
}

type Decoding = { toBytes: (token: string) => Uint8Array; numLeadingSpaces: number }

const utf8 = new TextEncoder()
const nothing = new Uint8Array(0)

const toDecoding = (decoder: unknown): Decoding => {
  const steps = flatten(decoder)
  if (steps.some((step) => step.type === 'ByteLevel')) {
    return { toBytes: fromByteLevel, numLeadingSpaces: 0 }
  }
  const replacements: { from: string; to: string }[] = []
  let hasByteFallback = false
  let numLeadingSpaces = 0
  for (const step of steps) {
    switch (step.type) {
      case 'ByteFallback':
        hasByteFallback = true
        break
      case 'Fuse':
        break
      case 'Replace':
        replacements.push(toReplacement(step))
        break
      case 'Metaspace':
        replacements.push({ from: String(step.replacement ?? '▁'), to: ' ' })
        if (step.prepend_scheme !== 'never') numLeadingSpaces = 1
        break
      case 'Strip':
        if (step.content !== ' ' || Number(step.stop) !== 0) throw refusal('Strip')
        numLeadingSpaces = Number(step.start)
        break
      default:
        throw refusal(String(step.type))
    }
  }
  const toBytes = (token: string): Uint8Array => {
    const byte = hasByteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16))
    return utf8.encode(
      replacements.reduce((text, { from, to }) => text.replaceAll(from, to), token),
    )
  }
  return { toBytes, numLeadingSpaces }
}

const flatten = (decoder: unknown): JsonObject[] => {
  if (!isObject(decoder)) throw refusal('none')
  if (decoder.type !== 'Sequence') return [decoder]
  return Array.isArray(decoder.decoders) ? decoder.decoders.flatMap(flatten) : []
}

const toReplacement = (step: JsonObject): { from: string; to: string } => {
  if (!isObject(step.pattern) || typeof step.pattern.String !== 'string') throw refusal('Replace')
  return { from: step.pattern.String, to: String(step.content) }
}

const refusal = (type: string): AppError =>
  new AppError(
    'invalid_request',
    `tokenizer.json: decoder ${type} is not supported; a byte-level or byte-fallback one is needed`,
  )

/** A byte-level token writes each byte as one printable character. */
const fromByteLevel = (token: string): Uint8Array => {
  const bytes: number[] = []
  for (const character of token) {
    const byte = byteOfCharacter.get(character)
    if (byte === undefined) return utf8.encode(token)
    bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

/** GPT-2's table: printable Latin-1 stands for itself, the other bytes for U+0100 and on, in order. */
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad)
  let next = 0x100
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [
      String.fromCodePoint(isPrintable(byte) ? byte : next++),
      byte,
    ]),
  )
})()
