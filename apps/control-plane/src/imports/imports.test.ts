import { once } from 'node:events'
import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, models, type Payload, startHarness } from '../testing/harness.ts'
import { config, createUploads, weights } from '../testing/uploads.ts'
import { isPrivateAddress } from './private-addresses.ts'

let harness: Harness
let key = ''
let folder = ''
let server: Server
let host = ''
/** What the host answers, by path. */
const answers = new Map<string, RequestListener>()
/** Paths that were asked for. */
const asked: string[] = []
const imports = { roots: [''], hosts: [''], allowPrivate: true }

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.url ?? '')
    const answer = answers.get(request.url ?? '')
    if (answer === undefined) response.writeHead(404).end()
    else answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  host = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'punica-imports-')))
  imports.roots = [path.join(folder, 'allowed')]
  imports.hosts = [host, '*.localhost']
  harness = await startHarness({ imports })
  key = (await harness.createTenant('acme')).admin
  await cp(`${models}/adapters/sentiment`, path.join(folder, 'allowed/sentiment'), {
    recursive: true,
  })
  await cp(`${models}/adapters/sentiment`, path.join(folder, 'secret'), { recursive: true })
})
afterAll(async () => {
  await harness.stop()
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true })
})

const importFrom = (
  from: object,
  by = harness.operatorKey,
  name = 'imported',
): Promise<Payload> => {
  const input = { tenant: 'acme', name, baseModel: 'demo', ...from }
  const fields = 'upload { status } adapter { name } version { version digest weight }'
  return harness.mutate('importAdapter', input, fields, by)
}

const serveFiles = (below: string): void => {
  answers.set(`${below}/adapter_config.json`, (_, response) => response.end(config))
  answers.set(`${below}/adapter_model.safetensors`, (_, response) => response.end(weights))
}

describe('from a folder', () => {
  test('below an allowed root an operator imports, with the same outcome as an upload', async () => {
    const imported = await importFrom({ folder: path.join(folder, 'allowed/sentiment') })
    expect(imported).toMatchObject({
      __typename: 'ImportAdapterPayload',
      upload: { status: 'READY' },
      adapter: { name: 'imported' },
      version: { version: 1, weight: 1 },
    })
    const uploads = createUploads(harness, { tenant: 'acme', key })
    const uploaded = await uploads.publishFiles('uploaded')
    expect(imported.version.digest).toBe(uploaded.version.digest)
  })

  test('whose files are links within the root is as good', async () => {
    const linked = path.join(folder, 'allowed/linked')
    await mkdir(linked)
    for (const file of ['adapter_config.json', 'adapter_model.safetensors']) {
      await symlink(`../sentiment/${file}`, path.join(linked, file))
    }
    expect(await importFrom({ folder: linked })).toMatchObject({ version: { version: 1 } })
  })

  test.each([
    ['outside', () => path.join(folder, 'secret'), 'forbidden'],
    ['outside by dots', () => `${path.join(folder, 'allowed')}/../secret`, 'forbidden'],
    ['that is not there', () => path.join(folder, 'none'), 'forbidden'],
    ['that is not there within', () => path.join(folder, 'allowed/none'), 'forbidden'],
    ['that is relative', () => 'allowed/sentiment', 'forbidden'],
    ['beside the root', () => path.join(folder, 'allowed-not'), 'forbidden'],
    ['without files', () => path.join(folder, 'allowed'), 'not_found'],
    ['that leads outside', () => path.join(folder, 'allowed/way-out'), 'forbidden'],
    ['whose files lead outside', () => path.join(folder, 'allowed/out'), 'forbidden'],
    ['whose file is none', () => path.join(folder, 'allowed/folders'), 'invalid_request'],
  ])('%s nothing is read', async (_, where, code) => {
    await mkdir(path.join(folder, 'allowed/out'), { recursive: true })
    await mkdir(path.join(folder, 'allowed/folders/adapter_config.json'), { recursive: true })
    const link = (to: string, from: string) =>
      symlink(path.join(folder, to), path.join(folder, from)).catch(() => {})
    await link('secret', 'allowed/way-out')
    await link('secret/adapter_config.json', 'allowed/out/adapter_config.json')
    await mkdir(path.join(folder, 'allowed-not'), { recursive: true })
    await writeFile(path.join(folder, 'allowed-not/adapter_config.json'), config)
    expect(await importFrom({ folder: where() })).toMatchObject({ code })
  })

  test('a tenant may not, wherever it is', async () => {
    const result = await importFrom({ folder: path.join(folder, 'allowed/sentiment') }, key)
    expect(result).toMatchObject({ code: 'forbidden' })
  })
})

describe('from a URL', () => {
  test('of an allowed host a tenant imports, over redirects between such', async () => {
    serveFiles('/models/a')
    for (const file of ['adapter_config.json', 'adapter_model.safetensors']) {
      answers.set(`/old/${file}`, (_, response) =>
        response.writeHead(302, { location: `/models/a/${file}` }).end(),
      )
    }
    expect(await importFrom({ url: `http://${host}/old` }, key, 'web')).toMatchObject({
      upload: { status: 'READY' },
      version: { version: 1 },
    })
  })

  const redirect =
    (location: string): RequestListener =>
    (_, response) =>
      response.writeHead(307, { location }).end()

  test.each<[string, () => { url: string; answer?: RequestListener }, string, string]>([
    ['another host', () => ({ url: 'http://example.com/x' }), 'forbidden', 'example.com'],
    ['another port', () => ({ url: 'http://127.0.0.1:1/x' }), 'forbidden', '127.0.0.1:1'],
    ['a file', () => ({ url: 'file:///etc' }), 'invalid_request', 'http or https'],
    ['a password', () => ({ url: `http://a:b@${host}/x` }), 'invalid_request', 'password'],
    ['nothing', () => ({ url: 'no url' }), 'invalid_request', 'http or https'],
    ['what is not there', () => ({ url: `http://${host}/none` }), 'not_found', 'adapter_config'],
    [
      'a redirect elsewhere',
      () => ({ url: `http://${host}/r1`, answer: redirect('http://169.254.169.254/latest') }),
      'forbidden',
      '169.254.169.254',
    ],
    [
      'a redirect to a file',
      () => ({ url: `http://${host}/r2`, answer: redirect('file:///etc/passwd') }),
      'invalid_request',
      'http or https',
    ],
    [
      'redirects without an end',
      () => ({ url: `http://${host}/r3`, answer: redirect('/r3/adapter_config.json') }),
      'unavailable',
      'more than 5 times',
    ],
    [
      'an error',
      () => ({ url: `http://${host}/e`, answer: (_, response) => response.writeHead(500).end() }),
      'unavailable',
      'HTTP 500',
    ],
    [
      'what is compressed',
      () => ({
        url: `http://${host}/zip`,
        answer: (_, response) =>
          response.writeHead(200, { 'content-encoding': 'gzip' }).end(Buffer.alloc(10)),
      }),
      'unavailable',
      'gzip',
    ],
    [
      'more than the limit',
      () => ({
        url: `http://${host}/big`,
        answer: (_, response) => response.end(Buffer.alloc(70_000, 32)),
      }),
      'payload_too_large',
      '65536',
    ],
    [
      'more than was said',
      () => ({
        url: `http://${host}/torn`,
        answer: (request, response) => {
          response.writeHead(200, { 'content-length': 1_000 })
          response.write('{', () => request.socket.destroy())
        },
      }),
      'unavailable',
      'broke off',
    ],
  ])('of %s it is refused', async (_, make, code, message) => {
    const { url, answer } = make()
    if (answer !== undefined) answers.set(`${new URL(url).pathname}/adapter_config.json`, answer)
    const result = await importFrom({ url }, key)
    expect(result).toMatchObject({ code })
    expect(result.message).toContain(message)
  })

  test('a host with a private address is refused before it is asked', async () => {
    imports.allowPrivate = false
    serveFiles('/private')
    const port = host.split(':')[1]
    imports.hosts = [host, `localhost:${port}`, `[::1]:${port}`, `2130706433:${port}`]
    asked.length = 0
    for (const name of ['127.0.0.1', 'localhost', '[::1]', '2130706433']) {
      const result = await importFrom({ url: `http://${name}:${port}/private` }, key)
      expect(result).toMatchObject({ code: 'forbidden' })
      expect(result.message).toContain('private address')
    }
    expect(asked).toEqual([])
  })
})

test.each([{}, { folder: '/x', url: 'http://x/' }])('from %j it is not clear', async (from) => {
  expect(await importFrom(from)).toMatchObject({ code: 'invalid_request', field: 'url' })
})

test.each([
  ['8.8.8.8', false],
  ['2606:4700::1111', false],
  ['10.1.2.3', true],
  ['169.254.169.254', true],
  ['172.31.0.1', true],
  ['100.100.0.1', true],
  ['0.0.0.0', true],
  ['255.255.255.255', true],
  ['::1', true],
  ['::ffff:8.8.8.8', true],
  ['fd00::1', true],
  ['fe80::1', true],
  ['64:ff9b::a00:1', true],
])('%s is private: %s', (address, expected) => {
  expect(isPrivateAddress(address)).toBe(expected)
})
