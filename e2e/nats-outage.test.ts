import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createAuthority, issueCredentials } from '@punica/bus'
import { startNatsServer, type TestNatsServer } from '@punica/bus/testing'
import { rolePermissions } from '@punica/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readAll, readDisturbed } from './support/disturb.ts'
import { makeDataFolder, removeDataFolder } from './support/folder.ts'
import { countTokens, untilIdle } from './support/nodes.ts'
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
  // Nobody is to be given up for the silence of NATS: what is lost can then only be replayed.
  const settings = { router: { HEARTBEAT_TIMEOUT_MS: '30000' } }
  system = await startSystem({ natsUrl: nats.url, natsCredentials, settings, onProgress })
  undisturbed = (await readAlone(system, specs)).map(answerOf)
})

afterAll(async () => {
  await system?.stop()
  await nats?.stop()
  if (folder !== undefined) await removeDataFolder(folder)
})

const services = (): readonly string[] => system.cluster.services

/** What the services answer on their status ports, code and words. */
const askAll = (what: 'healthz' | 'readyz'): Promise<string[]> =>
  Promise.all(
    services().map(async (name) => {
      const { statusPort } = system.cluster.service(name).facts
      const response = await fetch(`http://127.0.0.1:${statusPort}/${what}`)
      return `${response.status} ${(await response.text()).trim()}`
    }),
  )

test('streams go on when the NATS server is killed and comes back', async () => {
  happened.length = 0
  let result: { seen: Seen[]; disturbance: string[] } | undefined
  const numMade = await countTokens(system, async () => {
    result = await readDisturbed(system, specs, async () => {
      expect(await askAll('readyz')).toEqual(
        services().map(() => expect.stringMatching(/^200 ready/)),
      )
      await nats.kill()
      const away = await askAll('readyz')
      expect(await askAll('healthz')).toEqual(services().map(() => '200 ok'))
      await nats.start()
      return away
    })
  })
  expect(result?.seen.map(answerOf)).toEqual(undisturbed)
  // What was made while NATS was away came by replay: no token has been made a second time.
  expect(numMade).toBe(specs.reduce((sum, spec) => sum + spec.maxTokens, 0))
  expect(result?.disturbance).toEqual(services().map(() => '503 not ready: NATS does not answer'))
})

test('and everything works as before, with no process restarted', async () => {
  await untilIdle(system)
  const seen = await readAll(system, specs)
  expect(seen.map(answerOf)).toEqual(undisturbed)
  expect(happened).toEqual([])
})
