import path from 'node:path'
import { connectAdmin } from '@punica/cli/admin'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { examplesOf } from './support/evals.ts'
import { makeDataFolder, removeDataFolder } from './support/folder.ts'
import { type Launcher, processesOf, startLauncher, untilNoProcess } from './support/launcher.ts'
import { models } from './support/system.ts'
import { until } from './support/until.ts'

const baseModel = 'punica-demo-6m'
const [example = { prompt: '', expected: '' }] = examplesOf('sentiment')

let folder: string
const launched: Launcher[] = []
let launcher: Launcher
/** Made by the first run, used by the later ones. */
let secret: string

beforeAll(async () => {
  folder = await makeDataFolder()
  launcher = launch()
  await launcher.ready
})

afterAll(async () => {
  for (const one of launched) one.kill()
  await untilNoProcess(folder)
  await removeDataFolder(folder)
})

const launch = (): Launcher => {
  const one = startLauncher(folder)
  launched.push(one)
  return one
}

/** What the adapter says to its first evaluation prompt, once the gateway knows it. */
const answer = async (gatewayUrl: string): Promise<string> => {
  const openai = new OpenAI({ baseURL: `${gatewayUrl}/v1`, apiKey: secret, maxRetries: 0 })
  await until('served', () => openai.models.retrieve('sentiment').catch(() => null))
  const { choices } = await openai.chat.completions.create({
    model: 'sentiment',
    messages: [{ role: 'user', content: example.prompt }],
    temperature: 0,
  })
  return choices[0]?.message.content?.trim() ?? ''
}

// The first run writes what the later ones find; they are one story.
describe.skipIf(process.platform !== 'linux')('punica up', () => {
  test('serves what is uploaded', async () => {
    const { gatewayUrl, controlPlaneUrl, operatorKey } = await launcher.ready
    const admin = connectAdmin({ url: controlPlaneUrl, key: operatorKey })
    await admin.createTenant({ slug: 'acme', name: 'Acme' })
    const key = await admin.createApiKey({ tenant: 'acme', name: 'app', scopes: ['GENERATE'] })
    secret = key.secret
    await admin.pushAdapter({
      tenant: 'acme',
      name: 'sentiment',
      baseModel,
      folder: path.join(models, 'adapters', 'sentiment'),
    })
    expect(await answer(gatewayUrl)).toBe(example.expected.trim())
  })

  test('refuses a folder that another one uses, and leaves that one alone', async () => {
    const second = await launch().ended
    expect(second.code).toBe(1)
    expect(second.output).toContain(`is in use by process ${launcher.pid}`)
    expect(await answer((await launcher.ready).gatewayUrl)).toBe(example.expected.trim())
  })

  test('stops everything on Ctrl-C', async () => {
    // The launcher, Postgres, NATS, and five services.
    expect((await processesOf(folder)).length).toBeGreaterThanOrEqual(8)
    launcher.press('SIGINT')
    expect(await launcher.ended).toMatchObject({ code: 0, signal: null })
    expect(await processesOf(folder)).toEqual([])
  })

  test('goes on with the state of the folder', async () => {
    const { operatorKey } = await launcher.ready
    launcher = launch()
    const ready = await launcher.ready
    expect(ready.operatorKey).toBe(operatorKey)
    expect(await answer(ready.gatewayUrl)).toBe(example.expected.trim())
  })

  test('leaves no process behind when it is killed, and starts again after that', async () => {
    launcher.kill()
    expect(await launcher.ended).toMatchObject({ signal: 'SIGKILL' })
    await untilNoProcess(folder)
    launcher = launch()
    expect(await answer((await launcher.ready).gatewayUrl)).toBe(example.expected.trim())
  })

  test('leaves no process behind even when NATS has gone before', async () => {
    const nats = (await processesOf(folder)).find(({ command }) => /nats-server -c/.test(command))
    if (nats === undefined) throw new Error('there is no nats-server')
    process.kill(nats.pid, 'SIGKILL')
    launcher.kill()
    await launcher.ended
    await untilNoProcess(folder)
    launcher = launch()
    await launcher.ready
  })

  test('stops on Ctrl-C while it is still starting', async () => {
    launcher.press('SIGINT')
    await launcher.ended
    launcher = launch()
    // Postgres and NATS at the least.
    await until('first processes', async () =>
      (await processesOf(folder)).length >= 3 ? true : null,
    )
    launcher.press('SIGINT')
    await launcher.ended
    await untilNoProcess(folder)
  })
})
