import { Tokenizer as Encoder } from '@huggingface/tokenizers'
import { type ChatTurn, createChatTemplate, tokenContent } from './chat-template.ts'
import { createDetokenizer, type Detokenizer } from './detokenizer.ts'
import { type ModelFolder, readModelFolder } from './model-folder.ts'
import { createTokenBytes, type TokenBytes, type VocabEntry } from './token-bytes.ts'

/** Text to token ids and back, as one model does it. */
export type Tokenizer = {
  /** Exactly what the text says: special tokens in it are recognised and nothing is added. */
  encode(text: string): number[]
  /** The ids of a prompt that is no chat: the model's BOS comes first, where it has one. */
  encodePrompt(text: string): number[]
  /** The text of a whole sequence, special tokens left out. */
  decode(tokens: readonly number[]): string
  /** The prompt text of a conversation, special tokens included; `encode` it. */
  applyChat(messages: readonly ChatTurn[]): string
  createDetokenizer(): Detokenizer
  /** What one token adds to the text, in UTF-8; it may be a part of a character. */
  tokenBytes(token: number): Uint8Array
  /** What one token is called: a special token by its name, any other by its text. */
  tokenText(token: number): string
  bosTokenId: number | null
  /** Any of these ends the answer. */
  eosTokenIds: readonly number[]
  /** Ids are below it. */
  vocabSize: number
  /**
   * The UTF-8 length of the longest token: text of n bytes has at least n / maxTokenBytes tokens,
   * which tells a hopeless prompt without encoding it.
   */
  maxTokenBytes: number
}

/** Loads the tokenizer of a Hugging Face model folder; see readModelFolder for its errors. */
export const loadTokenizer = async (path: string): Promise<Tokenizer> => {
  const folder = await readModelFolder(path)
  const encoder = new Encoder(folder.tokenizer, folder.tokenizerConfig)
  const vocab = readVocab(encoder)
  const tokenBytes = createTokenBytes(folder.tokenizer.decoder, vocab)
  const idOf = (content: string | null): number | null =>
    content === null ? null : (encoder.token_to_id(content) ?? null)
  const bosTokenId = readBos(folder, idOf)

  const encode = (text: string, addSpecialTokens: boolean): number[] =>
    // A lone surrogate, which JSON can carry, has no UTF-8; it becomes U+FFFD here.
    encoder.encode(Buffer.from(text).toString(), { add_special_tokens: addSpecialTokens }).ids

  return {
    encode: (text) => encode(text, false),
    encodePrompt: (text) => {
      const tokens = encode(text, true)
      return bosTokenId === null || tokens[0] === bosTokenId ? tokens : [bosTokenId, ...tokens]
    },
    decode: (tokens) => decodeWhole(tokens, tokenBytes),
    applyChat: createChatTemplate(folder),
    createDetokenizer: () => createDetokenizer(tokenBytes),
    tokenBytes: tokenBytes.bytes,
    tokenText: (token) => {
      const entry = vocab[token]
      return entry?.special ? entry.content : Buffer.from(tokenBytes.bytes(token)).toString()
    },
    bosTokenId,
    eosTokenIds: readEos(folder, idOf),
    vocabSize: readInts(folder.config.vocab_size)[0] ?? vocab.length,
    maxTokenBytes: vocab.reduce((max, entry, token) => {
      // A special token adds no bytes to an answer, but its name in a prompt is one token.
      const numBytes = entry?.special ? Buffer.byteLength(entry.content) : 0
      return Math.max(max, numBytes, tokenBytes.bytes(token).length)
    }, 1),
  }
}

const readVocab = (encoder: Encoder): (VocabEntry | undefined)[] => {
  const added = encoder.get_added_tokens_decoder()
  const vocab: (VocabEntry | undefined)[] = []
  for (const [content, token] of encoder.get_vocab()) {
    const entry = added.get(token)
    vocab[token] = { content, added: entry !== undefined, special: entry?.special ?? false }
  }
  // Array.from fills the holes of a vocabulary that leaves ids out.
  return Array.from(vocab)
}

const decodeWhole = (tokens: readonly number[], tokenBytes: TokenBytes): string => {
  const detokenizer = createDetokenizer(tokenBytes)
  const text = tokens.map((token) => detokenizer.push(token)).join('') + detokenizer.flush()
  let start = 0
  while (start < tokenBytes.numLeadingSpaces && text[start] === ' ') start++
  return text.slice(start)
}

/**
 * tokenizer_config.json is asked first: a `bos_token` of null there says that the model has none,
 * although config.json often has an id (Qwen2).
 */
const readBos = (
  { tokenizerConfig, config }: ModelFolder,
  idOf: (content: string | null) => number | null,
): number | null =>
  'bos_token' in tokenizerConfig
    ? idOf(tokenContent(tokenizerConfig.bos_token))
    : (readInts(config.bos_token_id)[0] ?? null)

/** Chat models often end a turn with another token than a text; the three files together have both. */
const readEos = (
  { tokenizerConfig, config, generationConfig }: ModelFolder,
  idOf: (content: string | null) => number | null,
): number[] => {
  const named = idOf(tokenContent(tokenizerConfig.eos_token))
  return [
    ...new Set([
      ...readInts(generationConfig.eos_token_id),
      ...readInts(config.eos_token_id),
      ...(named === null ? [] : [named]),
    ]),
  ]
}

/** An id or a list of ids. */
const readInts = (value: unknown): number[] =>
  (Array.isArray(value) ? value : [value]).filter((id) => Number.isInteger(id))
