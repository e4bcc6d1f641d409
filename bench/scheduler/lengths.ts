import { createRandom, type Random } from './random.ts'

/** How long prompts and answers are. */
export type Lengths = {
  readonly description: string
  /** Draws one request. */
  draw(random: Random): { numPromptTokens: number; numOutputTokens: number }
}

const clamp = (value: number, low: number, high: number): number =>
  Math.min(high, Math.max(low, Math.round(value)))

/** Means of ShareGPT as the vLLM paper gives them (161 and 338 tokens); the form is an assumption. */
export const shareGpt: Lengths = {
  description: 'ShareGPT-like: log-normal, prompts of mean 161, answers of mean 338, at most 1024',
  draw: (random) => ({
    numPromptTokens: clamp(random.logNormal({ mean: 161, sigma: 1 }), 4, 1_024),
    numOutputTokens: clamp(random.logNormal({ mean: 338, sigma: 1 }), 1, 1_024),
  }),
}

/** As the benchmark scripts of Punica draw them: short prompts, total length uniform up to 2047. */
const punica: Lengths = {
  description: "Punica's generator: log-normal prompts of mean 24, total length uniform up to 2047",
  draw: (random) => {
    const numPromptTokens = clamp(random.logNormal({ mean: 24, sigma: 1 }), 2, 1_024)
    const total = random.below(2_048)
    return { numPromptTokens, numOutputTokens: Math.max(1, total - numPromptTokens) }
  },
}

export const lengthsByName: Readonly<Record<string, Lengths>> = { sharegpt: shareGpt, punica }

/** What clients ask for at most, whatever they get. */
export const maxNewTokens = 2_048

/** Mean prompt and answer of a fixed sample, and the mean context over all decode steps. */
export const meansOf = ({ draw }: Lengths) => {
  const random = createRandom(1)
  const sample = Array.from({ length: 10_000 }, () => draw(random))
  const sum = { prompt: 0, output: 0, context: 0 }
  for (const { numPromptTokens, numOutputTokens } of sample) {
    sum.prompt += numPromptTokens
    sum.output += numOutputTokens
    sum.context += numOutputTokens * (numPromptTokens + numOutputTokens / 2)
  }
  return {
    promptTokens: sum.prompt / sample.length,
    outputTokens: sum.output / sample.length,
    contextTokens: sum.context / sum.output,
  }
}
