import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createAuthority, issueCredentials } from '@punica/bus'
import { startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import { rolePermissions } from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readAll, readDisturbed } from './support/disturb.ts'
import { makeDataFolder, removeDataFolder } from './support/folder.ts'
import { untilIdle } from './support/nodes.ts'
import { answerOf, mixedStreams, readAlone, type Seen } from './support/streams.ts'
import { type System, startSystem } from './support/system.ts'

const specs = mixedStreams(300)
const happened: string[] = []

let nats: TestNatsServer
let folder: string
let system: System
let undisturbed: Omit<Seen, 'nodes'>[]

beforeAll(async () => {
  const authority = await createAuthority()
  nats = await startNatsServer({ authority })
  folder = await makeDataFolder()
  const natsCredentials = path.join(folder, 'operator.creds')
  const permissions = rolePermissions('operator')
  const { creds } = await issueCredentials(authority.accountSeed, { name: 'operator', permissions })
  await writeFile(natsCredentials, creds, { mode: 0o600 })
  const onProgress = (text: string): void => void happened.push(text)
  system = await startSystem({ natsUrl: nats.url, natsCredentials, onProgress })
  undisturbed = (await readAlone(system, specs)).map(answerOf)
})

afterAll(async () => {
  await system?.stop()
  await nats?.stop()
  if (folder !== undefined) await removeDataFolder(folder)
})

test('streams go on when the NATS server is killed and comes back', async () => {
  happened.length = 0
  const { seen } = await readDisturbed(system, specs, async () => {
    await nats.kill()
    await nats.start()
  })
  expect(seen.map(answerOf)).toEqual(undisturbed)
})

test('and everything works as before, with no process restarted', async () => {
  await untilIdle(system)
  const seen = await readAll(system, specs)
  expect(seen.map(answerOf)).toEqual(undisturbed)
  expect(happened).toEqual([])
})
