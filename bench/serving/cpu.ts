// Compares this engine on the CPU with Hugging Face Transformers + PEFT: the same 24 requests over
// six adapters, greedy, in one run on one machine. Both sides get the same token ids and make the
// same number of new tokens, and the tokens are compared, so the same work is timed.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createEngine, type Engine } from '@punica/native-sgmv'
import { loadTokenizer, type Tokenizer } from '@punica/tokenizer'

const models = fileURLToPath(new URL('../../models/', import.meta.url))
const adapters = ['sql-helper', 'extract-json', 'sentiment', 'french', 'pirate-tales', 'bard']
const numRequests = 24
const maxNewTokens = 96
/**
 * Runs of the baseline, and of ours before and after it: they are a tenth as long, and a machine
 * that is shared may be slower at one time than at another.
 */
const repeats = 3
const engineRepeats = 5 * repeats
const numThreads = os.availableParallelism()
const { python } = parseArgs({ options: { python: { type: 'string', default: 'python3' } } }).values

type Request = { adapter: string; tokens: number[] }
type Measurement = { seconds: number[]; tokens: number[][] }

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const makeRequests = (tokenizer: Tokenizer): Request[] => {
  const prompts = adapters.map((adapter) =>
    readFileSync(`${models}evals/${adapter}.eval.jsonl`, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line): string => JSON.parse(line).prompt),
  )
  return Array.from({ length: numRequests }, (_, i) => {
    const content = prompts[i % adapters.length]?.[Math.floor(i / adapters.length)] ?? ''
    const adapter = adapters[i % adapters.length] ?? ''
    return { adapter, tokens: tokenizer.encode(tokenizer.applyChat([{ role: 'user', content }])) }
  })
}

/** Runs all requests at once through the engine and resolves with what each generated. */
const runOnce = (
  engine: Engine,
  handles: ReadonlyMap<string, number>,
  requests: readonly Request[],
): Promise<number[][]> =>
  new Promise((resolve, reject) => {
    const out: number[][] = requests.map(() => [])
    let numOpen = requests.length
    engine.onStep((report) => {
      report.tokens.forEach((token, i) => {
        out[report.tokenRequests[i] ?? -1]?.push(token)
      })
      if (report.error !== null) reject(new Error(report.error))
      numOpen -= report.ends.length
      if (numOpen === 0) resolve(out)
    })
    requests.forEach(({ adapter, tokens }, id) => {
      const handle = handles.get(adapter) ?? 0
      engine.submit({ id, adapter: handle, tokens, maxNewTokens, ignoreEos: true })
    })
  })

const measureEngine = async (requests: readonly Request[]): Promise<Measurement> => {
  const engine = await createEngine({
    modelFolder: `${models}base`,
    numThreads,
    maxBatchSize: numRequests,
    poolBytes: 256 * 1024 ** 2,
  })
  const handles = new Map<string, number>()
  for (const name of adapters) {
    handles.set(name, await engine.loadAdapter(`${models}adapters/${name}`))
  }
  console.log(`punica: ${engine.description}`)
  await runOnce(engine, handles, requests)
  const seconds: number[] = []
  let tokens: number[][] = []
  for (let i = 0; i < engineRepeats; i++) {
    const start = performance.now()
    tokens = await runOnce(engine, handles, requests)
    seconds.push((performance.now() - start) / 1000)
  }
  await engine.close()
  return { seconds, tokens }
}

/** null, with a message, where Python with PEFT is missing. */
const measurePeft = (requests: readonly Request[]): Measurement | null => {
  const { status, stdout, stderr, error } = spawnSync(
    python,
    [fileURLToPath(new URL('peft_mixed.py', import.meta.url))],
    {
      input: JSON.stringify({
        base: `${models}base`,
        adapters: adapters.map((name) => ({ name, folder: `${models}adapters/${name}` })),
        requests,
        maxNewTokens,
        repeats,
        threads: numThreads,
      }),
      maxBuffer: 64 * 1024 ** 2,
      encoding: 'utf8',
    },
  )
  if (error !== undefined || status === 3) {
    console.log(
      `Comparison skipped: ${python} has no ${error === undefined ? stderr.trim() : 'such command'}. ` +
        'Install torch, transformers and peft (CPU is enough) and name that Python with ' +
        '`npm run bench:cpu -- --python <path>`.',
    )
    return null
  }
  if (status !== 0) throw new Error(`peft_mixed.py failed:\n${stderr}`)
  return JSON.parse(stdout)
}

const report = (name: string, { seconds }: Measurement): number => {
  const rate = (numRequests * maxNewTokens) / median(seconds)
  const [best, worst] = [Math.min(...seconds), Math.max(...seconds)]
  const range = `${seconds.length} runs, ${best.toFixed(2)} to ${worst.toFixed(2)} s`
  console.log(`${name.padEnd(22)} ${rate.toFixed(0).padStart(6)} new tokens/s   (median; ${range})`)
  return rate
}

const requests = makeRequests(await loadTokenizer(`${models}base`))
console.log(
  `${numRequests} requests, ${adapters.length} adapters, ${maxNewTokens} new tokens each, ` +
    `${numThreads} threads, ${os.cpus()[0]?.model.trim() ?? 'unknown processor'}`,
)
const before = await measureEngine(requests)
const theirs = measurePeft(requests)
const after = theirs === null ? [] : (await measureEngine(requests)).seconds
const ours = { ...before, seconds: [...before.seconds, ...after] }
const ourRate = report('punica', ours)
if (theirs !== null) {
  const ratio = ourRate / report('transformers + peft', theirs)
  const numEqual = ours.tokens.filter(
    (tokens, i) => tokens.join() === theirs.tokens[i]?.join(),
  ).length
  console.log(`ratio ${ratio.toFixed(1)}x (at least 10 expected)`)
  console.log(`identical outputs: ${numEqual} of ${numRequests}`)
  if (ratio < 10 || numEqual < numRequests) process.exitCode = 1
}
