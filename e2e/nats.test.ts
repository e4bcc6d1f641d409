import { type Bus, connectBus, type Problem } from '@punica/bus'
import { type Client, connectClient, type GenerationEvent } from '@punica/client'
import {
  ApiEvent,
  type ChatBody,
  channels,
  GenerateMessage,
  tenantInboxPrefix,
} from '@punica/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { examplesOf, maxTokensOf } from './support/evals.ts'
import { countTokens, untilBusy } from './support/nodes.ts'
import { adapterNames, adapters, type System, startSystem } from './support/system.ts'
import { until } from './support/until.ts'

type Tenant = 'acme' | 'globex'

/** The schema that every message meets. */
const anything = GenerateMessage.shape.body

let system: System
let credentials: Record<Tenant, string>
let clients: Record<Tenant, Client & { close(): Promise<void> }>

beforeAll(async () => {
  system = await startSystem()
  const issue = (tenant: Tenant) => system.operator.createNatsCredential({ tenant, name: 'e2e' })
  const [acme, globex] = await Promise.all([issue('acme'), issue('globex')])
  credentials = { acme: acme.creds, globex: globex.creds }
  const connect = (tenant: Tenant) =>
    connectClient({
      url: system.cluster.natsUrl,
      credentials: credentials[tenant],
      tenant,
      apiKey: system.keys[tenant],
    })
  clients = { acme: await connect('acme'), globex: await connect('globex') }
})

afterAll(async () => {
  await Promise.all(Object.values(clients ?? {}).map((client) => client.close()))
  await system?.stop()
})

/** Texts and reasons by choice, and the usage: what both faces tell of an answer. */
const readAnswer = async (events: AsyncIterable<GenerationEvent>) => {
  const choices: { text: string; reason: string }[] = []
  let usage: object | null = null
  for await (const event of events) {
    if (event.type === 'done') usage = event.usage
    if (event.type !== 'delta' && event.type !== 'finished') continue
    const choice = choices[event.choice] ?? { text: '', reason: '' }
    choices[event.choice] = choice
    if (event.type === 'delta') choice.text += event.text
    else choice.reason = event.reason
  }
  return { choices, usage }
}

const overHttp = async (tenant: Tenant, body: ChatBody & { stream?: false }) => {
  const response = await fetch(`${system.cluster.gatewayUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${system.keys[tenant]}`,
    },
    body: JSON.stringify(body),
  })
  const { choices, usage, error } = await response.json()
  if (error !== undefined) return { error }
  return {
    choices: choices.map((choice: { message: { content: string }; finish_reason: string }) => ({
      text: choice.message.content,
      reason: choice.finish_reason,
    })),
    usage,
  }
}

const user = (content: string) => [{ role: 'user' as const, content }]
const story = () => ({ model: system.cluster.baseModel, messages: user('Tell me a story.') })

describe('the NATS face', () => {
  test('answers every adapter as HTTP does, all at the same time', async () => {
    await Promise.all(
      adapterNames.map(async (name, i) => {
        const tenant = adapters[name]
        const messages = user(examplesOf(name)[i]?.prompt ?? '')
        const common = { model: name, messages, max_tokens: maxTokensOf(name) }
        for (const sampling of [{ temperature: 0 }, { temperature: 1, seed: i, n: 2 }]) {
          const body = { ...common, ...sampling }
          const answer = await readAnswer(clients[tenant].chat(body))
          expect(answer, name).toEqual(await overHttp(tenant, body))
        }
      }),
    )
  })

  test('numbers the pieces of an answer by its tokens', async () => {
    const events: GenerationEvent[] = []
    for await (const event of clients.acme.chat({ ...story(), max_tokens: 20, ignore_eos: true })) {
      events.push(event)
    }
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i))
    expect(events.map(({ type }) => type)).toEqual([
      'accepted',
      ...events.slice(1, -2).map(() => 'delta'),
      'finished',
      'done',
    ])
    expect(events.at(-1)).toMatchObject({ usage: { completion_tokens: 20 } })
  })

  test('lists the models that HTTP lists', async () => {
    for (const tenant of ['acme', 'globex'] as const) {
      const { data } = await system.openai(system.keys[tenant]).models.list()
      expect(await clients[tenant].models()).toEqual(data)
    }
  })

  test.each([
    ['an unknown model', { model: 'nothing' }],
    ["another tenant's model", { model: 'globex/french' }],
    ['an absurd parameter', { temperature: 3 }],
    ['too many tokens', { max_tokens: 5_000 }],
  ])('refuses %s in the words of HTTP', async (_, changes) => {
    const body = { ...story(), ...changes }
    const { error } = await overHttp('acme', body)
    const { code, message, param } = error
    expect(code).toEqual(expect.any(String))
    await expect(readAnswer(clients.acme.chat(body))).rejects.toMatchObject({
      code,
      message,
      param,
    })
  })

  test.each<[string, (stop: AbortController) => void]>([
    ['is aborted by its signal', (stop) => stop.abort()],
    ['is read no further', () => {}],
  ])('stops the work of a call that %s', async (_, end) => {
    const maxTokens = 1000
    const numMade = await countTokens(system, async () => {
      const stop = new AbortController()
      const body = { ...story(), n: 16, max_tokens: maxTokens, ignore_eos: true }
      const events = clients.acme.chat(body, { signal: stop.signal })
      await Promise.all([events.next(), untilBusy(system)])
      end(stop)
      await events.return()
    })
    expect(numMade).toBeGreaterThan(0)
    expect(numMade).toBeLessThan(16 * maxTokens)
  })
})

describe('a credential', () => {
  const connectAs = (tenant: Tenant, onProblem: (problem: Problem) => void = () => {}) =>
    connectBus({ url: system.cluster.natsUrl, credentials: credentials[tenant], onProblem })
  const any = (subject: string) => ({ subject, schema: anything })

  test('does not reach subjects beside its own, even with the key of their tenant', async () => {
    const bus = await connectAs('acme')
    const ask = (subject: string, message: object = {}) =>
      bus.request({ subject, request: anything, reply: anything }, message, {
        timeoutMs: 10_000,
      })
    try {
      for (const subject of [
        channels.models('globex').subject,
        channels.generate('globex').subject,
        channels.submit('default').subject,
        channels.assign('node-1').subject,
        channels.nodeCommand('node-1').subject,
        channels.usage('acme').subject,
        '$JS.API.INFO',
        '$KV.punica_catalog.key.x',
        '$SYS.REQ.SERVER.PING',
      ]) {
        const refused = ask(subject, { apiKey: system.keys.globex })
        await expect(refused, subject).rejects.toMatchObject({ code: 'forbidden' })
      }
    } finally {
      await bus.close()
    }
  })

  test('hears nothing beside its own inboxes', async () => {
    const problems: Problem[] = []
    const heard: string[] = []
    const bus = await connectAs('acme', (problem) => problems.push(problem))
    const subjects = [
      '>',
      '_INBOX.>',
      `${tenantInboxPrefix('globex')}.>`,
      'punica.>',
      channels.generate('acme').subject,
      channels.generate('globex').subject,
      channels.tokens('*').subject,
    ]
    try {
      for (const subject of subjects) {
        bus.subscribe(any(subject), (_, delivery) => void heard.push(delivery.subject))
      }
      await readAnswer(clients.globex.chat({ ...story(), max_tokens: 8 }))
      await readAnswer(clients.acme.chat({ ...story(), max_tokens: 8 }))
      await until('refusal of every subscription', async () => {
        await bus.flush()
        return problems.length >= subjects.length ? true : null
      })
      expect(new Set(problems.map(({ kind }) => kind))).toEqual(new Set(['refused']))
      expect(heard).toEqual([])
    } finally {
      await bus.close()
    }
  })

  test('makes the gateway answer into no inbox but its own, for no key but its own', async () => {
    const [bus, operator] = await Promise.all([connectAs('acme'), connectOperator()])
    const heard: unknown[] = []
    const call = (id: string, apiKey: string) => ({
      type: 'chat' as const,
      id,
      apiKey,
      body: { ...story(), max_tokens: 8 },
    })
    const theirs = `${tenantInboxPrefix('globex')}.x`
    try {
      const foreign = [theirs, '_INBOX.gateway.x', 'punica.pool.default.x']
      for (const subject of foreign) {
        operator.subscribe(any(subject), (message) => void heard.push(message))
      }
      await operator.flush()
      for (const replyTo of foreign) {
        bus.publish(channels.generate('acme'), call('a', system.keys.acme), { replyTo })
      }
      // The gateway reads calls in their order, so that it has seen the others when it answers this.
      const answers: ApiEvent[] = []
      const inbox = bus.inbox()
      bus.subscribe({ subject: inbox, schema: ApiEvent }, (event) => void answers.push(event))
      const replyTo = inbox
      bus.publish(channels.generate('acme'), call('b', system.keys.globex), { replyTo })
      await until('answer', async () => {
        await bus.flush()
        return answers.length > 0 ? true : null
      })
      expect(answers).toMatchObject([{ type: 'error', error: { code: 'forbidden' } }])
      // The first would have been accepted before this one, which is behind it in every queue.
      await readAnswer(clients.acme.chat({ ...story(), max_tokens: 8 }))
      await operator.flush()
      expect(heard).toEqual([])
    } finally {
      await Promise.all([bus.close(), operator.close()])
    }
  })

  const connectOperator = (): Promise<Bus> =>
    connectBus({
      url: system.cluster.natsUrl,
      credentialsFile: system.cluster.operatorCredentials,
    })
})
