import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const fixture = fileURLToPath(new URL('./testing/fixture-service.ts', import.meta.url))

type Started = { child: ChildProcess; output: () => string; exitCode: () => Promise<number> }

const start = (env: Record<string, string>): Started => {
  const child = spawn(process.execPath, ['--import', 'tsx', fixture], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const { stdout } = child
  if (stdout === null) throw new Error('the child has no stdout')
  let text = ''
  stdout.on('data', (chunk) => {
    text += chunk
  })
  const over = Promise.all([once(child, 'exit'), once(stdout, 'end')])
  return { child, output: () => text, exitCode: async () => (await over)[0][0] }
}

test('a service reports ready with its facts, serves its status, and stops on SIGTERM', async () => {
  const { child, output, exitCode } = start({ GREETING: 'hello', STATUS_PORT: '0' })
  const [message] = await once(child, 'message')
  expect(message).toMatchObject({ type: 'ready', name: 'fixture', greeting: 'hello' })
  const base = `http://127.0.0.1:${message.statusPort}`
  expect(await (await fetch(`${base}/readyz`)).text()).toBe('ready\n')
  expect((await fetch(`${base}/healthz`)).status).toBe(200)
  expect(await (await fetch(`${base}/metrics`)).text()).toContain('service="fixture"')
  expect((await fetch(`${base}/other`)).status).toBe(404)
  child.kill('SIGTERM')
  expect(await exitCode()).toBe(0)
  expect(output()).toContain('stopped')
})

test('refused settings are named and the exit code is 2', async () => {
  const { output, exitCode } = start({ STATUS_PORT: 'many' })
  expect(await exitCode()).toBe(2)
  expect(output()).toContain('GREETING')
  expect(output()).toContain('STATUS_PORT')
})

test('a crash is logged with its error and the exit code is 1', async () => {
  const { output, exitCode } = start({ GREETING: 'hello', CRASH: 'yes' })
  expect(await exitCode()).toBe(1)
  expect(output()).toContain('told to crash')
})

test('a crash that nobody can be told of ends the process all the same', async () => {
  const { child } = start({ GREETING: 'hello', CRASH: 'yes' })
  child.stdout?.destroy()
  child.disconnect()
  expect((await once(child, 'exit'))[0]).toBe(1)
})

test('a service whose parent is gone stops by itself', async () => {
  const { child, exitCode } = start({ GREETING: 'hello' })
  await once(child, 'message')
  child.disconnect()
  expect(await exitCode()).toBe(0)
})

test('and ends even where its end is held up', async () => {
  const { child, output, exitCode } = start({ GREETING: 'hello', HANG: 'yes' })
  await once(child, 'message')
  child.disconnect()
  expect(await exitCode()).toBe(1)
  expect(output()).toContain('did not stop in time')
})
