// One process of streaming clients. It opens its streams, says so, and on `measure` notes for a while
// how old each token was when it came; the parent gets the ages and this process's own CPU time.
import { Agent, request } from 'node:http'
import { dueMs, nowMs, type Schedule, scheduleOf, stepOfLetter } from './schedule.ts'

/** What the parent starts it with. */
export type ClientOrder = {
  url: string
  key: string
  model: string
  numStreams: number
  maxTokens: number
  numNodes: number
  periodMs: number
}

/** What it sends: first that all streams run, then what it measured. */
export type ClientNews =
  | { type: 'streaming' }
  | { type: 'measured'; agesMs: Float64Array; numMoves: number; cpuMicros: number }
  | { type: 'failed'; reason: string }

/** How many streams one process opens at once. */
const maxOpening = 50

const send = (news: ClientNews): void => void process.send?.(news)

const fail = (cause: unknown): void => send({ type: 'failed', reason: String(cause) })

let ages: Float64Array | null = null
let numAges = 0
let numMoves = 0

const note = (ageMs: number): void => {
  if (ages !== null && numAges < ages.length) ages[numAges++] = ageMs
}

/** Reads the events of one stream; each has at most one token, whose text is one letter. */
const createReader = (schedules: readonly Schedule[]) => {
  let rest = ''
  /** The node and the step that made the newest token; no step before the first. */
  let newestNode = -1
  let step: number | null = null

  const readEvent = (event: string): void => {
    const marker = '"content":"'
    const at = event.indexOf(marker)
    const letter = at < 0 ? '' : event.charAt(at + marker.length)
    if (letter === '' || letter === '"') return
    const receivedMs = nowMs()
    const node = Number(/"node":"node-(\d+)"/.exec(event)?.[1]) - 1
    const schedule = schedules[node]
    if (schedule === undefined) throw new Error(`no such node in ${event}`)
    // A node of a machine that is too busy counts as lost, and its streams go on at another.
    if (node !== newestNode && step !== null) numMoves++
    if (node !== newestNode) step = null
    newestNode = node
    const wanted = step === null ? stepOfLetter(schedule, letter, receivedMs) : step + 1
    const seen = stepOfLetter(schedule, letter, dueMs(schedule, wanted))
    if (seen !== wanted) throw new Error(`a token is missing or came twice: ${event}`)
    step = wanted
    note(receivedMs - dueMs(schedule, wanted))
  }
  return (text: string): void => {
    rest += text
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      readEvent(rest.slice(0, end))
      rest = rest.slice(end + 2)
    }
  }
}

/**
 * Resolves when the first bytes of the answer have come; the stream then goes on by itself, and
 * another takes its place when it is over.
 */
const openStream = (order: ClientOrder, agent: Agent): Promise<void> =>
  new Promise((resolve, reject) => {
    const { url, key, model, maxTokens, numNodes, periodMs } = order
    const schedules = Array.from({ length: numNodes }, (_, i) => scheduleOf(i, numNodes, periodMs))
    const read = createReader(schedules)
    const sending = request(`${url}/v1/chat/completions`, {
      agent,
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    })
    sending.once('error', reject)
    sending.once('response', (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`))
      response.setEncoding('latin1')
      response.once('data', () => resolve())
      let last = ''
      response.on('data', (text: string) => {
        last = text
        read(text)
      })
      response.once('close', () => {
        if (last.endsWith('data: [DONE]\n\n')) openStream(order, agent).catch(fail)
        else fail(new Error(`a stream ended with ${last}`))
      })
    })
    const messages = [{ role: 'user', content: 'What is the capital of France?' }]
    sending.end(JSON.stringify({ model, messages, stream: true, max_tokens: maxTokens }))
  })

const openAll = async (order: ClientOrder): Promise<void> => {
  const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
  let numLeft = order.numStreams
  const worker = async (): Promise<void> => {
    while (numLeft-- > 0) await openStream(order, agent)
  }
  await Promise.all(Array.from({ length: maxOpening }, worker))
}

const measure = (windowMs: number, maxAges: number): void => {
  ages = new Float64Array(maxAges)
  numAges = 0
  numMoves = 0
  const before = process.cpuUsage()
  setTimeout(() => {
    const { user, system } = process.cpuUsage(before)
    const agesMs = ages?.slice(0, numAges) ?? new Float64Array(0)
    ages = null
    send({ type: 'measured', agesMs, numMoves, cpuMicros: user + system })
  }, windowMs)
}

process.on('message', (order: ClientOrder | { windowMs: number; maxAges: number }) => {
  if ('windowMs' in order) return measure(order.windowMs, order.maxAges)
  openAll(order).then(() => send({ type: 'streaming' }), fail)
})
process.once('disconnect', () => process.exit())
