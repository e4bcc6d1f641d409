import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import express from 'express'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { serveConsole } from './console.ts'

let folder: string
let base: string
const server = createServer()

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'punica-console-'))
  await mkdir(path.join(folder, 'assets'))
  await writeFile(path.join(folder, 'index.html'), '<title>Punica</title>')
  await writeFile(path.join(folder, 'assets', 'index-abc.js'), 'main()')
  server.on('request', express().use(serveConsole(folder))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  base = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})

afterAll(async () => {
  server.close()
  await rm(folder, { recursive: true })
})

const open = (page: string, accept = 'text/html') =>
  fetch(`${base}${page}`, { headers: { accept } })

test.each(['/', '/adapters', '/nodes/node-1'])(
  'a browser that opens %s gets the console',
  async (page) => {
    const response = await open(page)
    expect(await response.text()).toContain('Punica')
    expect(response.headers.get('content-security-policy')).toContain("default-src 'self'")
  },
)

test('an asset may be kept for ever, the index is asked for each time', async () => {
  expect((await open('/assets/index-abc.js')).headers.get('cache-control')).toContain('immutable')
  expect((await open('/')).headers.get('cache-control')).toContain('max-age=0')
})

test('who wants no page gets none, and nothing outside the folder is served', async () => {
  expect((await open('/adapters', 'application/json')).status).toBe(404)
  expect((await open('/assets/missing.js', '*/*')).status).not.toBe(200)
  expect(await (await open('/..%2f..%2fetc%2fpasswd')).text()).not.toContain('root:')
})
