import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type System, startSystem } from './support/system.ts'

const python = process.env.PYTHON ?? 'python3'
const client = fileURLToPath(new URL('../docs/clients/python/punica_client.py', import.meta.url))
const standIn = fileURLToPath(new URL('support/python', import.meta.url))

const has = (...modules: string[]): boolean =>
  spawnSync(python, ['-c', `import ${modules.join(', ')}`]).status === 0
const signs = has('nkeys') ? {} : { PYTHONPATH: standIn }
const canRun = has('nats') && (has('nkeys') || has('cryptography'))

let system: System
let folder: string

beforeAll(async () => {
  if (!canRun) return
  system = await startSystem({ numNodes: 1 })
  folder = await mkdtemp(path.join(tmpdir(), 'punica-python-'))
  const { creds } = await system.operator.createNatsCredential({ tenant: 'globex', name: 'python' })
  await writeFile(path.join(folder, 'globex.creds'), creds, { mode: 0o600 })
})

afterAll(async () => {
  await system?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

const run = (model: string, key: string) => {
  const creds = path.join(folder, 'globex.creds')
  const connection = ['--url', system.cluster.natsUrl, '--creds', creds, '--tenant', 'globex']
  const asked = ['--key', key, '--model', model, 'The gray horse keeps my ball.']
  const env = { ...process.env, ...signs }
  return spawnSync(python, [client, ...connection, ...asked], { env, encoding: 'utf8' })
}

test.skipIf(!canRun)('the Python client streams what HTTP answers', async () => {
  const { stdout, stderr } = run('french', system.keys.globex)
  expect(stderr).toBe('')
  const { choices } = await system.openai(system.keys.globex).chat.completions.create({
    model: 'french',
    messages: [{ role: 'user', content: 'The gray horse keeps my ball.' }],
    max_tokens: 200,
    temperature: 0,
  })
  expect(stdout.trimEnd()).toBe(choices[0]?.message.content)
  expect(stdout.length).toBeGreaterThan(5)
})

test.skipIf(!canRun)('and says what was refused', () => {
  const { status, stderr } = run('sql-helper', system.keys.globex)
  expect(status).toBe(1)
  expect(stderr).toContain('model_not_found')
})
