// Compares this engine on the CPU with Hugging Face Transformers + PEFT: the same 24 requests over
// six adapters, greedy, in one run on one machine. Both sides get the same token ids and make the
// same number of new tokens, and the tokens are compared, so the same work is timed. They take turns,
// since a machine that is shared changes its speed; the ratio is that of each round.
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createEngine, type Engine } from '@punica/native-sgmv'
import { loadTokenizer, type Tokenizer } from '@punica/tokenizer'
import { openPeft, type Peft, type Run } from './peft.ts'

const models = fileURLToPath(new URL('../../models/', import.meta.url))
const adapters = ['sql-helper', 'extract-json', 'sentiment', 'french', 'pirate-tales', 'bard']
const numRequests = 24
const maxNewTokens = 96
/** Rounds, each of one run of the baseline between as many short runs of ours. */
const numRounds = 5
const runsPerSide = 5
const numThreads = os.availableParallelism()
const { python } = parseArgs({ options: { python: { type: 'string', default: 'python3' } } }).values

type Request = { adapter: string; tokens: number[] }

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

type Ours = { description: string; run(): Promise<Run>; close(): Promise<void> }

const openEngine = async (requests: readonly Request[]): Promise<Ours> => {
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
  return {
    description: engine.description,
    run: async () => {
      const start = performance.now()
      const tokens = await runOnce(engine, handles, requests)
      return { seconds: (performance.now() - start) / 1000, tokens }
    },
    close: () => engine.close(),
  }
}

const several = async (numRuns: number, run: () => Promise<Run>): Promise<Run[]> => {
  const runs: Run[] = []
  for (let i = 0; i < numRuns; i++) runs.push(await run())
  return runs
}

type Round = { ours: Run[]; theirs: Run | null }

const measure = async (ours: Ours, peft: Peft | null): Promise<Round> => {
  const before = await several(runsPerSide, ours.run)
  if (peft === null) return { ours: before, theirs: null }
  const theirs = await peft.run()
  return { ours: [...before, ...(await several(runsPerSide, ours.run))], theirs }
}

const rate = (seconds: number): number => (numRequests * maxNewTokens) / seconds
const secondsOf = (runs: readonly Run[]): number[] => runs.map(({ seconds }) => seconds)

const report = (name: string, seconds: readonly number[]): void => {
  const [slowest, fastest] = [Math.max(...seconds), Math.min(...seconds)].map(rate)
  const range = `${slowest?.toFixed(0)} to ${fastest?.toFixed(0)} in ${seconds.length} runs`
  console.log(
    `${name.padEnd(22)} ${rate(median(seconds)).toFixed(0).padStart(6)} new tokens/s   (${range})`,
  )
}

/** What the comparison says; false where it is less than was to be reached. */
const compare = (rounds: readonly Round[]): boolean => {
  const pairs = rounds.flatMap(({ ours, theirs }) => (theirs === null ? [] : [{ ours, theirs }]))
  const ratios = pairs.map(({ ours, theirs }) => theirs.seconds / median(secondsOf(ours)))
  const ratio = median(ratios)
  console.log(
    `ratio ${ratio.toFixed(1)}x (at least 10 expected; rounds: ${ratios.map((r) => r.toFixed(1)).join(', ')})`,
  )
  const [last] = pairs.slice(-1)
  const numEqual = last?.theirs.tokens.filter(
    (tokens, i) => tokens.join() === last.ours[0]?.tokens[i]?.join(),
  ).length
  console.log(`identical outputs: ${numEqual} of ${numRequests}`)
  return ratio >= 10 && numEqual === numRequests
}

const requests = makeRequests(await loadTokenizer(`${models}base`))
console.log(
  `${numRequests} requests, ${adapters.length} adapters, ${maxNewTokens} new tokens each, ` +
    `${numThreads} threads, ${os.cpus()[0]?.model.trim() ?? 'unknown processor'}`,
)
const ours = await openEngine(requests)
console.log(`punica: ${ours.description}`)
await ours.run()
const peft = await openPeft(python, {
  base: `${models}base`,
  adapters: adapters.map((name) => ({ name, folder: `${models}adapters/${name}` })),
  requests,
  maxNewTokens,
  threads: numThreads,
})
if (typeof peft === 'string') {
  console.log(
    `Comparison skipped: ${peft}. Install torch, transformers and peft (CPU is enough) and name ` +
      'that Python with `npm run bench:cpu -- --python <path>`.',
  )
}
const rounds: Round[] = []
for (let i = 0; i < numRounds; i++) {
  rounds.push(await measure(ours, typeof peft === 'string' ? null : peft))
}
report('punica', secondsOf(rounds.flatMap((round) => round.ours)))
if (typeof peft !== 'string') {
  report('transformers + peft', secondsOf(rounds.flatMap(({ theirs }) => theirs ?? [])))
  if (!compare(rounds)) process.exitCode = 1
  peft.close()
}
await ours.close()
