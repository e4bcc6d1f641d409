import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { listen } from './support/disturb.ts'
import { untilIdle } from './support/nodes.ts'
import {
  answerOf,
  mixedStreams,
  readAlone,
  readStream,
  type Seen,
  type StreamSpec,
} from './support/streams.ts'
import { type System, startSystem } from './support/system.ts'

const batchSize = 8
const long = mixedStreams(800).slice(0, 6)
const short = mixedStreams(60).slice(0, 3)

let system: System
let undisturbed: Omit<Seen, 'nodes'>[]

beforeAll(async () => {
  system = await startSystem({
    settings: {
      'gpu-node': { MAX_BATCH_SIZE: String(batchSize) },
      router: { CONSOLIDATION_INTERVAL_MS: '100', MIN_MOVE_INTERVAL_MS: '0' },
    },
  })
  undisturbed = (await readAlone(system, long)).map(answerOf)
})

beforeEach(async () => {
  await untilIdle(system)
})

afterAll(async () => {
  await system?.stop()
})

/** A stream that has begun: resolves with the node of its first token, and its end. */
const begin = async (spec: StreamSpec) => {
  let ended: Promise<Seen> | undefined
  const nodeId = await new Promise<string>((resolve, reject) => {
    ended = readStream(system, spec, { onToken: (_, node) => resolve(node) })
    ended.catch(reject)
  })
  if (ended === undefined) throw new Error('never begun')
  return { nodeId, ended }
}

const beginAll = (specs: readonly StreamSpec[]) => Promise.all(specs.map(begin))

test('a node that an operator drains is vacated, and its streams go on elsewhere', async () => {
  const heard = await listen(system)
  const streams = await beginAll(long.slice(0, 4))
  const drained = streams[0]?.nodeId ?? ''
  const mutate = (mutation: string): Promise<unknown> =>
    system.operator.graphql(
      `mutation Schedule($input: NodeInput!) { result: ${mutation}(input: $input) { __typename } }`,
      { input: { id: drained } },
    )
  await mutate('drainNode')
  const seen = await Promise.all(streams.map(({ ended }) => ended))
  expect(seen.map(answerOf)).toEqual(undisturbed.slice(0, 4))
  const moved = seen.filter(({ nodes }) => nodes[0] === drained)
  expect(moved.length).toBeGreaterThan(0)
  for (const { nodes } of moved) expect(nodes.at(-1)).not.toBe(drained)
  expect(heard.decisions.map(({ kind }) => kind)).toContain('drain')
  const others = await beginAll(short)
  for (const { nodeId } of others) expect(nodeId).not.toBe(drained)
  await Promise.all(others.map(({ ended }) => ended))
  await mutate('uncordonNode')
  await heard.close()
})

test('when there is room for it, the lightest node is vacated onto the heavier one', async () => {
  const heard = await listen(system)
  const numLong = batchSize - short.length
  // The pass that vacates may come when the light stream is as good as over, which then stays: so
  // it is given the occasion until it takes it.
  for (let moved: Seen | undefined; moved === undefined; ) {
    const full = await beginAll([...long.slice(0, numLong), ...short])
    const [light] = await beginAll(long.slice(numLong))
    const seen = await Promise.all([...full.slice(0, numLong), light].map((one) => one?.ended))
    expect(seen.map((one) => one && answerOf(one))).toEqual(undisturbed)
    await Promise.all(full.map(({ ended }) => ended))
    moved = seen.find((one) => one !== undefined && one.nodes.length > 1)
  }
  const reasons = heard.decisions.map(({ reason }) => reason)
  expect(reasons).toContainEqual(expect.stringMatching(/^consolidation: /))
  await heard.close()
})
