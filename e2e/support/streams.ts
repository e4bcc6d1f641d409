import { examplesOf } from './evals.ts'
import { type AdapterName, adapterNames, adapters, mapConcurrently, type System } from './system.ts'

/** One stream of exactly `maxTokens` tokens, whose text depends on nothing but these fields. */
export type StreamSpec = {
  adapter: AdapterName
  prompt: string
  maxTokens: number
  temperature: number
  seed: number
}

/** What a client saw of a stream. */
export type Seen = {
  tokens: string[]
  text: string
  finishReason: string | null
  promptTokens: number
  completionTokens: number
  /** Nodes that made tokens of it, in order. */
  nodes: string[]
}

type ReadOptions = {
  onToken?: (numTokens: number, nodeId: string) => void
  /** Lets the client go away. */
  signal?: AbortSignal
}

/** A greedy and a sampled stream of every adapter. */
export const mixedStreams = (maxTokens: number): StreamSpec[] =>
  adapterNames.flatMap((adapter, i) => {
    const prompt = examplesOf(adapter)[i]?.prompt ?? ''
    return [
      { adapter, prompt, maxTokens, temperature: 0, seed: 0 },
      { adapter, prompt, maxTokens, temperature: 1, seed: 100 + i },
    ]
  })

/** Reads one stream to its end; the log-probabilities tell its tokens one by one. */
export const readStream = async (
  { openai, keys }: Pick<System, 'openai' | 'keys'>,
  { adapter, prompt, maxTokens, temperature, seed }: StreamSpec,
  { onToken = () => {}, signal }: ReadOptions = {},
): Promise<Seen> => {
  // Beyond OpenAI's: the answer goes on behind an end-of-text token, so that its length is known.
  const toLength = { ignore_eos: true }
  const { chat } = openai(keys[adapters[adapter]])
  const body = {
    ...toLength,
    model: adapter,
    messages: [{ role: 'user' as const, content: prompt }],
    max_tokens: maxTokens,
    temperature,
    seed,
    logprobs: true,
    stream: true as const,
    stream_options: { include_usage: true },
  }
  const stream = await chat.completions.create(body, { signal })
  const seen: Seen = {
    tokens: [],
    text: '',
    finishReason: null,
    promptTokens: 0,
    completionTokens: 0,
    nodes: [],
  }
  for await (const chunk of stream) {
    seen.promptTokens = chunk.usage?.prompt_tokens ?? seen.promptTokens
    seen.completionTokens = chunk.usage?.completion_tokens ?? seen.completionTokens
    const [choice] = chunk.choices
    seen.finishReason = choice?.finish_reason ?? seen.finishReason
    seen.text += choice?.delta.content ?? ''
    const tokens = choice?.logprobs?.content?.map(({ token }) => token) ?? []
    if (tokens.length === 0) continue
    seen.tokens.push(...tokens)
    const node = nodeOf(chunk)
    if (seen.nodes.at(-1) !== node) seen.nodes.push(node)
    onToken(seen.tokens.length, node)
  }
  return seen
}

/** What our chunks have beyond OpenAI's. */
const nodeOf = (chunk: object & { punica?: { node: string } }): string => chunk.punica?.node ?? ''

/** Each stream alone on the system: what it must be whatever happens around it. */
export const readAlone = (system: System, specs: readonly StreamSpec[]): Promise<Seen[]> =>
  mapConcurrently(specs, 1, (spec) => readStream(system, spec))

/** A stream without what may differ: where it ran. */
export const answerOf = ({ nodes: _, ...answer }: Seen): Omit<Seen, 'nodes'> => answer
