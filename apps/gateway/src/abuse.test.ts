import { type ChildProcess, execSync, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Bus, connectBus } from '@punica/bus'
import { startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import { limits } from '@punica/schema'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createFakePool, type FakePool } from './testing/fake-pool.ts'
import { apiKeyOf, modelFolder, putCatalog } from './testing/fixtures.ts'
import { tokenizer } from './testing/start-gateway.ts'

const maxConnections = 8_192
const authorization = `authorization: Bearer ${apiKeyOf('acme')}`
const [hello = 0] = tokenizer.encode('Hello')
const mebibyte = 1024 ** 2

let nats: TestNatsServer
let bus: Bus
let child: ChildProcess
let pool: FakePool
let port: number
let control: Awaited<ReturnType<typeof openControl>>

const start = async (settings: Record<string, string>): Promise<void> => {
  child = fork(fileURLToPath(new URL('./main.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      PATH: '/usr/bin:/bin',
      LOG_LEVEL: 'silent',
      NATS_URL: nats.url,
      MODEL_FOLDER: modelFolder,
      BASE_MODEL: 'base',
      GATEWAY_ID: 'gw',
      PORT: '0',
      MAX_CONNECTIONS: String(maxConnections),
      ...settings,
    },
  })
  port = await new Promise((resolve, reject) => {
    child.once('message', (facts: { port: number }) => resolve(facts.port))
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
  })
  control = await openControl()
}

const stop = async (): Promise<void> => {
  await control.finish()
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
}

beforeAll(async () => {
  nats = await startNatsServer()
  bus = await connectBus({ url: nats.url })
  await putCatalog(bus)
  pool = createFakePool(bus, 'gw')
  await bus.flush()
})
afterAll(async () => {
  await bus?.close()
  await nats?.stop()
})

/** A stream that goes on beside the abuse: a token made is a token read, at any time. */
const openControl = async () => {
  const answer = fetch(`http://127.0.0.1:${port}/v1/completions`, {
    method: 'POST',
    headers: { authorization: authorization.slice(15), 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'base', prompt: 'x', stream: true }),
  })
  const task = await pool.nextTask()
  const node = pool.node('control')
  let numTokens = 0
  const make = (): void => node.send({ task, tokens: [hello], from: numTokens++ })
  make()
  const reader = (await answer).body?.pipeThrough(new TextDecoderStream()).getReader()
  let seen = ''
  const readTo = async (end: string): Promise<void> => {
    while (!seen.includes(end)) {
      const { value, done } = (await reader?.read()) ?? { done: true }
      if (done) throw new Error(`the control stream ended after ${seen}`)
      seen += value
    }
    seen = seen.slice(seen.indexOf(end) + end.length)
  }
  await readTo('"text":"Hello"')
  return {
    beat: (): Promise<void> => {
      make()
      return readTo('"text":"Hello"')
    },
    finish: (): Promise<void> => {
      node.send({ task, end: 'length', numTokens })
      return readTo('[DONE]')
    },
  }
}

/** One connection as an attacker writes it, and what came back until it was closed. */
const open = (text: string | Uint8Array = '') => {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.setEncoding('latin1').on('data', (data) => {
    received += data
  })
  // To write to a connection that the gateway has closed is what these clients do.
  socket.on('error', () => {})
  if (text.length > 0) socket.write(text)
  return {
    socket,
    closed: new Promise<string>((resolve) => socket.once('close', () => resolve(received))),
  }
}

/** Writes a byte now and then, for as long as the gateway takes them. */
const drip = async ({ socket, closed }: ReturnType<typeof open>): Promise<string> => {
  const dripping = setInterval(() => socket.write('x'), 50)
  const received = await closed
  clearInterval(dripping)
  return received
}

const post = (headers: string, body = ''): string =>
  `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${authorization}\r\ncontent-type: application/json\r\n${headers}\r\n\r\n${body}`

/** The statuses of the answers on a connection, and the code of the error that the last one has. */
const answersOf = (received: string) => ({
  statuses: [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status)),
  code: /"code":"(\w+)"\}\}$/.exec(received)?.[1],
})
const expectAnswer = (received: string, status: number, code: string): void =>
  expect(answersOf(received)).toEqual({ statuses: [status], code })

/** The most memory that the gateway has had so far, in bytes; where no /proc says so, 0. */
const peakMemory = (): number => {
  if (process.platform !== 'linux') return 0
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1])
}

describe('a client that', () => {
  beforeAll(() => start({ HEADERS_TIMEOUT_MS: '400', BODY_TIMEOUT_MS: '800', MAX_INFLIGHT: '64' }))
  afterAll(() => stop())
  beforeEach(() => control.beat())
  afterEach(() => control.beat())

  test('never says anything, or drips its headers, is told so and closed', async () => {
    const slow = [open(), drip(open('GET /health HTTP/1.1\r\nhost: x\r\nx-slow: '))]
    const silent = open()
    for (const received of [await silent.closed, await slow[1]]) {
      expectAnswer(String(received), 408, 'invalid_request')
    }
  })

  test('drips its body is told so and closed', async () => {
    const received = await drip(open(post('content-length: 100000')))
    expectAnswer(received, 408, 'invalid_request')
  })

  test('sends headers without end is refused', async () => {
    const long = `x-long: ${'x'.repeat(20_000)}`
    const many = Array.from({ length: 3_000 }, (_, i) => `x${i}: 1`).join('\r\n')
    for (const headers of [long, many]) {
      const received = await open(`GET /health HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`).closed
      expectAnswer(received, 431, 'payload_too_large')
    }
  })

  test('announces a huge body is refused before it comes', async () => {
    const { socket } = open(post(`content-length: ${10 * 1024 ** 3}`))
    const received = await new Promise<string>((resolve) => socket.once('data', resolve))
    expect(answersOf(received)).toMatchObject({ statuses: [413], code: 'payload_too_large' })
    socket.destroy()
  })

  test('sends chunks without end is refused at the limit, and holds no memory', async () => {
    const before = peakMemory()
    const { socket, closed } = open(post('transfer-encoding: chunked'))
    const chunk = `${(64 * 1024).toString(16)}\r\n${'x'.repeat(64 * 1024)}\r\n`
    let numSent = 0
    const pour = (): void => {
      while (!socket.destroyed && socket.write(chunk)) numSent++
      numSent++
    }
    socket.on('drain', pour)
    pour()
    // It goes on after the refusal, until the gateway closes the connection.
    expect(answersOf(await closed).statuses[0]).toBe(413)
    expect(numSent * 64 * 1024).toBeGreaterThan(limits.requestBodyBytes)
    expect(peakMemory() - before).toBeLessThan(64 * mebibyte)
  })

  test('sends what is no UTF-8 is refused', async () => {
    const body = Buffer.concat([
      Buffer.from('{"model":"base","prompt":"'),
      Buffer.from([0xc3, 0x28, 0xff]),
      Buffer.from('"}'),
    ])
    const close = 'connection: close\r\n'
    const head = Buffer.from(post(`${close}content-length: ${body.length}`))
    expectAnswer(await open(Buffer.concat([head, body])).closed, 400, 'invalid_request')
    const inHeader = (bytes: Buffer): Buffer =>
      Buffer.concat([
        Buffer.from(`GET /v1/models HTTP/1.1\r\nhost: x\r\n${close}authorization: Bearer `),
        bytes,
        Buffer.from('\r\n\r\n'),
      ])
    const foreign = await open(inHeader(Buffer.from([0xc3, 0x28, 0xff]))).closed
    expectAnswer(foreign, 401, 'unauthenticated')
    const zero = await open(inHeader(Buffer.from([0x61, 0x00, 0x62]))).closed
    expectAnswer(zero, 400, 'invalid_request')
  })

  test.each([
    ['two lengths', 'content-length: 5\r\ncontent-length: 60'],
    ['a length and chunks', 'content-length: 5\r\ntransfer-encoding: chunked'],
    ['chunks and a length', 'transfer-encoding: chunked\r\ncontent-length: 5'],
    ['an encoding behind chunks', 'transfer-encoding: chunked, identity'],
    ['an encoding that looks like chunks', 'transfer-encoding: xchunked'],
    ['a length with a sign', 'content-length: +5'],
    ['a length by a name with a space', 'content-length : 5'],
    ['a folded header', 'transfer-encoding:\r\n chunked'],
  ])('hides a request behind %s has one answer and is closed', async (_, headers) => {
    const hidden = '0\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n'
    expectAnswer(await open(post(headers, hidden)).closed, 400, 'invalid_request')
  })

  test('sends nonsense into a stream that it reads gets no second answer in it', async () => {
    const body = JSON.stringify({ model: 'base', prompt: 'x', stream: true })
    const { socket, closed } = open(post(`content-length: ${body.length}`, body))
    const task = await pool.nextTask()
    pool.node('n1').send({ task, tokens: [hello], from: 0 })
    await new Promise((resolve) => socket.once('data', resolve))
    const cancelled = pool.nextCancel()
    socket.write('nonsense\r\n\r\n')
    expect(answersOf(await closed).statuses).toEqual([200])
    expect(await cancelled).toBe(task.requestId)
  })

  test('sends its next requests before it has read the answers gets them, up to a bound', async () => {
    const one = 'GET /openapi.json HTTP/1.1\r\nhost: x\r\n'
    const last = `${one}connection: close\r\n\r\n`
    const few = await open(`${one}\r\n`.repeat(15) + last).closed
    expect(answersOf(few).statuses).toEqual(Array(16).fill(200))

    const before = peakMemory()
    const many = await Promise.all(
      Array.from({ length: 20 }, () => open(`${one}\r\n`.repeat(5_000) + last).closed),
    )
    for (const received of many) expect(answersOf(received).statuses.length).toBeLessThan(5_000)
    // The answers to what a connection can send at once are 80 MB, of all of them 1.6 GB.
    expect(peakMemory() - before).toBeLessThan(200 * mebibyte)
  })

  test('reads nothing of many streams has them cancelled, and holds little memory', async () => {
    const before = peakMemory()
    const body = JSON.stringify({ model: 'base', prompt: [5], stream: true, logprobs: 20 })
    const top = Array.from({ length: 20 }, (_, i) => ({ token: 300 + i, logprob: -1 }))
    const logprobs = { logprob: -1, top }
    const waiting = new Map<string, Awaited<ReturnType<FakePool['nextTask']>>>()
    const sockets: Socket[] = []
    for (let i = 0; i < 10; i++) {
      const { socket } = open(post(`content-length: ${body.length}`, body))
      socket.pause()
      sockets.push(socket)
      const task = await pool.nextTask()
      waiting.set(task.requestId, task)
    }
    const numWaiting = (): number => waiting.size
    const cancels = (async () => {
      while (waiting.size > 0) waiting.delete(await pool.nextCancel())
    })()
    const node = pool.node('n2')
    for (let from = 0; from < 20_000 && numWaiting() > 0; from += 50) {
      for (const task of waiting.values()) {
        node.send({ task, tokens: Array(50).fill(hello), from, logprobs })
      }
      node.forget()
      await control.beat()
    }
    await cancels
    // Were nothing cancelled, it would be 400 MB, and more while they are made.
    expect(peakMemory() - before).toBeLessThan(250 * mebibyte)
    for (const socket of sockets) socket.destroy()
  })
})

describe('10,000 idle connections', () => {
  // Node has raised its limit of open files to what it may have; this process holds as many as the
  // gateway's, which inherits the limit.
  const maxFiles = Number(execSync('ulimit -n', { shell: '/bin/sh' }).toString())
  const numConnections = Math.min(10_000, maxFiles - 1_000)
  const bound = Math.min(maxConnections, Math.floor(0.8 * numConnections))

  beforeAll(() => start({ HEADERS_TIMEOUT_MS: '60000', MAX_CONNECTIONS: String(bound) }))
  afterAll(() => stop())

  test('are bounded, cost little memory and disturb no stream; then there is room again', async () => {
    if (numConnections < 10_000) console.warn(`${numConnections}: no more files may be open`)
    const before = peakMemory()
    const held = new Set<Socket>()
    let numRefused = 0
    for (let i = 0; i < numConnections; i += 100) {
      await Promise.all(
        Array.from({ length: Math.min(100, numConnections - i) }, async () => {
          const { socket } = open()
          held.add(socket)
          socket.once('close', () => {
            held.delete(socket)
            numRefused++
          })
          await new Promise((resolve) => {
            socket.once('connect', resolve)
            socket.once('close', resolve)
          })
        }),
      )
      await control.beat()
    }
    // The control stream has a connection, too.
    while (numRefused < numConnections - bound + 1) await control.beat()
    expect(held.size).toBe(bound - 1)
    expect(peakMemory() - before).toBeLessThan(300 * mebibyte)
    await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow()

    const numLeft = held.size
    for (const socket of held) socket.destroy()
    await expect
      .poll(() => fetch(`http://127.0.0.1:${port}/health`).then(({ status }) => status))
      .toBe(200)
    expect(numLeft).toBe(bound - 1)
  })
})
