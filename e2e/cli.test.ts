import { once } from 'node:events'
import { appendFile, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { connectAdmin } from '@punica/cli/admin'
import { limits } from '@punica/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type CliOptions, type Outcome, type RunningCli, startCli } from './support/cli.ts'
import { makeDataFolder, removeDataFolder } from './support/folder.ts'
import { writeLargeAdapter } from './support/large-adapter.ts'
import { type Launcher, startLauncher, untilNoProcess } from './support/launcher.ts'
import { startStallingProxy } from './support/stalling-proxy.ts'
import { models } from './support/system.ts'
import { until } from './support/until.ts'

let folder: string
let launcher: Launcher
let env: Record<string, string>

beforeAll(async () => {
  folder = await makeDataFolder()
  const state = path.join(folder, 'state')
  await mkdir(state)
  env = { XDG_STATE_HOME: state }
  launcher = startLauncher(folder)
  await launcher.ready
})

afterAll(async () => {
  launcher?.kill()
  await untilNoProcess(folder)
  await removeDataFolder(folder)
})

/** The CLI on the running system, which it finds by its data folder alone. */
const run = (args: readonly string[], options: CliOptions = {}): Promise<Outcome> =>
  startCli([...args, '--data', folder], { ...options, env: { ...env, ...options.env } }).ended

/** What it prints when all goes well: nothing of a terminal, and on stderr no error. */
const said = async (args: readonly string[], options?: CliOptions): Promise<string> => {
  const outcome = await run(args, options)
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 })
  expect(outcome.stdout + outcome.stderr).not.toContain('\u001b')
  return outcome.stdout
}

/** The document of a command with --json, of exactly the shape that is promised. */
const document = async <T>(shape: z.ZodType<T>, args: readonly string[]): Promise<T> => {
  const outcome = await run([...args, '--json'])
  expect(outcome).toMatchObject({ code: 0, stderr: '' })
  return shape.parse(JSON.parse(outcome.stdout))
}

const refused = async (args: readonly string[]): Promise<Pick<Outcome, 'code' | 'stderr'>> => {
  const { code, stderr, stdout } = await run(args)
  expect(stdout).toBe('')
  return { code, stderr }
}

const bard = path.join(models, 'adapters', 'bard')
const french = path.join(models, 'adapters', 'french')
const count = z.int().nonnegative()
const time = z.iso.datetime()

const Tenant = z.strictObject({
  slug: z.string(),
  name: z.string(),
  suspended: z.boolean(),
  suspendedReason: z.string().nullable(),
  weight: z.number(),
  maxConcurrentRequests: count.nullable(),
  maxTokensPerMinute: count.nullable(),
  createdAt: time,
})
const Traffic = z.strictObject({ requests: count, generatedTokens: count })
const Version = z.strictObject({
  version: count,
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  rank: count,
  targetModules: z.array(z.string()),
  sizeBytes: count,
  weight: z.number(),
  aliases: z.array(z.string()),
  createdAt: time,
  archivedAt: time.nullable(),
})
const Targets = z.array(z.strictObject({ version: count, weight: z.number() }))
const Alias = z.strictObject({
  name: z.string(),
  revision: count,
  updatedAt: time,
  targets: Targets,
})
const Key = z.strictObject({
  id: z.string(),
  prefix: z.string(),
  name: z.string(),
  scopes: z.array(z.string()),
  state: z.string(),
  createdAt: time,
  createdBy: z.string().nullable(),
  expiresAt: time.nullable(),
  lastUsedAt: time.nullable(),
  tenant: z.strictObject({ slug: z.string() }).nullable(),
})
const Node = z.strictObject({
  id: z.string(),
  pool: z.string(),
  state: z.string(),
  scheduling: z.string(),
  reason: z.string().nullable(),
  backend: z.string(),
  description: z.string(),
  lastSeenAt: time,
  requests: count,
  maxBatchSize: count,
  numPages: count,
  kvPages: count,
  adapterPages: count,
  tokensPerSecond: z.number(),
})

type Uploads = {
  adapterUploads: { edges: { node: { files: { receivedBytes: number }[] } }[] }
}
const uploadsQuery =
  '{ adapterUploads(tenant: "acme", first: 1) { edges { node { files { receivedBytes } } } } }'

// Each finds what those before it have made; they are one story.
describe.skipIf(process.platform !== 'linux')('the CLI beside punica up', () => {
  test('status finds the system and says that it serves', async () => {
    expect(await said(['status'])).toMatch(/^Gateway +http:\S+, ready$/m)
    const Status = z.strictObject({
      controlPlane: z.strictObject({ url: z.url(), role: z.literal('OPERATOR'), tenant: z.null() }),
      gateway: z.strictObject({ url: z.url(), ready: z.literal(true) }),
      catalog: z.strictObject({ version: count, pending: count, oldestPendingAt: time.nullable() }),
      pools: z.array(z.looseObject({ name: z.string(), readyNodes: count })).length(1),
      nodes: z.array(Node).length(1),
    })
    await document(Status, ['status'])
  })

  test('tenants are made, listed, changed, suspended and resumed', async () => {
    expect(await said(['tenant', 'create', 'acme', '--max-concurrent', '8'])).toContain('acme')
    const globex = ['tenant', 'create', 'globex', '--name', 'Globex Tales']
    await document(z.strictObject({ tenant: Tenant }), globex)
    const list = z.strictObject({ tenants: z.array(Tenant.extend({ traffic: Traffic })) })
    const { tenants } = await document(list, ['tenant', 'list'])
    expect(tenants).toMatchObject([
      { slug: 'acme', name: 'acme', maxConcurrentRequests: 8, maxTokensPerMinute: null },
      { slug: 'globex', name: 'Globex Tales', maxConcurrentRequests: null },
    ])
    const quotas = ['--max-concurrent', 'none', '--weight', '2']
    expect(await said(['tenant', 'update', 'acme', ...quotas])).toMatch(/acme +active +2 +none/)
    expect(await said(['tenant', 'suspend', 'globex', '--reason', 'unpaid'])).toContain('globex')
    expect(await said(['tenant', 'list'])).toMatch(/^globex +Globex Tales +suspended/m)
    await said(['tenant', 'resume', 'globex'])
    expect(await refused(['tenant', 'update', 'acme'])).toMatchObject({ code: 2 })
    expect(await refused(['tenant', 'suspend', 'nobody'])).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^punica: .*nobody.* \(not_found\)\n$/),
    })
  })

  test('an adapter is pushed, listed, taken back and removed', async () => {
    const push = ['adapter', 'push', french, '--tenant', 'acme']
    expect(await said(push)).toMatch(/^Serving acme\/french@1 \(rank 16, /)
    const sql = path.join(models, 'adapters', 'sql-helper')
    const Pushed = z.strictObject({
      adapter: z.strictObject({ tenant: z.string(), name: z.string(), version: Version }),
    })
    const second = ['adapter', 'push', sql, '--tenant', 'acme', '--name', 'french']
    expect(await document(Pushed, second)).toMatchObject({ adapter: { version: { version: 2 } } })

    expect(await said(['adapter', 'list'])).toMatch(/^acme +french +@2 +punica-demo-6m/m)
    const listed = z.strictObject({
      name: z.string(),
      baseModel: z.string(),
      createdAt: time,
      archivedAt: time.nullable(),
      tenant: z.strictObject({ slug: z.string() }),
      aliases: z.array(z.strictObject({ name: z.string(), targets: Targets })),
      traffic: Traffic,
    })
    const list = z.strictObject({ adapters: z.array(listed).length(1) })
    await document(list, ['adapter', 'list', '--tenant', 'acme'])

    const Rolled = z.strictObject({ alias: Alias })
    const { alias } = await document(Rolled, ['adapter', 'rollback', 'acme/french'])
    expect(alias).toMatchObject({ name: 'default', targets: [{ version: 1, weight: 1 }] })
    const Versions = z.strictObject({
      adapter: z.looseObject({ versions: z.array(Version), aliases: z.array(Alias) }),
    })
    const versions = ['adapter', 'versions', 'french', '--tenant', 'acme']
    expect((await document(Versions, versions)).adapter.versions).toHaveLength(2)

    expect(await refused(['adapter', 'rm', 'acme/french@2'])).toMatchObject({ code: 2 })
    expect(await refused(['adapter', 'rm', 'acme/french@1', '--yes'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(conflict)'),
    })
    expect(await said(['adapter', 'rm', 'acme/french@2', '--yes'])).toContain('french@2')
    expect(await said(versions)).toMatch(/@2 +archived/)
  })

  test('what an adapter lacks is said plainly', async () => {
    const base = path.join(models, 'base')
    expect(await refused(['adapter', 'push', base, '--tenant', 'acme'])).toEqual({
      code: 2,
      stderr: expect.stringContaining(
        'it has no adapter_config.json and no adapter_model.safetensors',
      ),
    })
    const nobody = ['adapter', 'push', french, '--tenant', 'nobody']
    expect(await refused(nobody)).toMatchObject({ code: 1 })
    const json = await run([...nobody, '--json'])
    expect(json).toMatchObject({ code: 1, stdout: '' })
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'not_found' } })
  })

  test('a key is shown once, rotated and revoked', async () => {
    const create = ['key', 'create', '--tenant', 'acme', '--expires-in', '1h']
    const secret = (await said(create)).trim()
    expect(secret).toMatch(/^pk_[a-z0-9]{12}_[A-Za-z0-9_-]{43}$/)
    const prefix = secret.split('_')[1] ?? ''
    const list = z.strictObject({ keys: z.array(Key) })
    const listed = ['key', 'list', '--tenant', 'acme']
    const { keys } = await document(list, listed)
    expect(keys).toMatchObject([{ prefix, scopes: ['GENERATE'], state: 'ACTIVE' }])
    expect(await said(['key', 'list'])).not.toContain(secret)

    const Rotated = z.strictObject({ key: Key, replaced: Key, secret: z.string() })
    const rotated = await document(Rotated, ['key', 'rotate', prefix, '--overlap', '5m'])
    expect(rotated.secret).toContain(rotated.key.prefix)
    expect(await said(['key', 'revoke', rotated.key.id])).toContain(rotated.key.prefix)
    expect(await said([...listed, '--state', 'revoked'])).toContain(rotated.key.prefix)

    const whole = await refused(['key', 'revoke', secret])
    expect(whole).toMatchObject({ code: 2, stderr: expect.not.stringContaining(secret) })
    // A tenant's key may not do what an operator's may.
    const asTenant = await run(['tenant', 'list'], { env: { PUNICA_KEY: secret } })
    expect(asTenant).toMatchObject({ code: 1, stderr: expect.stringContaining('(forbidden)') })
  })

  test('a push that is killed goes on where it was', async () => {
    const { controlPlaneUrl, operatorKey } = await launcher.ready
    const admin = connectAdmin({ url: controlPlaneUrl, key: operatorKey })
    const proxy = await startStallingProxy(controlPlaneUrl)
    const large = path.join(folder, 'large')
    await mkdir(large)
    await writeLargeAdapter(large)
    const push = (): RunningCli =>
      startCli(['adapter', 'push', large, '--tenant', 'acme', '--url', proxy.url], {
        env: { ...env, PUNICA_KEY: operatorKey },
      })
    const kept = 2 * limits.uploadPartBytes
    const stalled = proxy.stallNextPut(kept + 1_000_000)
    const killed = push()
    await stalled
    await until('two parts kept', async () => {
      const { adapterUploads } = await admin.graphql<Uploads>(uploadsQuery)
      const [newest] = adapterUploads.edges
      return newest?.node.files.some(({ receivedBytes }) => receivedBytes >= kept) ? true : null
    })
    killed.child.kill('SIGKILL')
    await killed.ended

    const stalledAgain = proxy.stallNextPut(1_000_000)
    const interrupted = push()
    await stalledAgain
    interrupted.child.kill('SIGINT')
    expect(await interrupted.ended).toMatchObject({
      code: 130,
      stdout: '',
      stderr: expect.stringContaining('goes on from what has been kept'),
    })

    const done = await push().ended
    expect(done, done.stderr).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Serving acme\/large@1 \(rank 256, 33\.6 MB/),
      stderr: expect.stringContaining('16.8 MB of adapter_model.safetensors are there already'),
    })
    const rest = expect.stringMatching(new RegExp(`^bytes ${kept}-`))
    expect(proxy.ranges).toEqual([null, rest, rest])
    proxy.close()
  })

  test('one adapter answers as text, several answer side by side', async () => {
    await said(['adapter', 'push', bard, '--tenant', 'acme'])
    const prompt = 'The cat is in the garden.'
    const generate = ['generate', '--tenant', 'acme', '-m', 'french']
    expect(await said([...generate, prompt])).toBe('Le chat est dans le jardin.\n')
    expect(await said(generate, { input: `${prompt}\n` })).toBe('Le chat est dans le jardin.\n')

    const both = [...generate, '-m', 'bard', '--max-tokens', '40', prompt]
    const lines = (await said(both)).trimEnd().split('\n')
    expect(new Set(lines.map((line) => line.split(' │ ')[0]?.trim()))).toEqual(
      new Set(['french', 'bard']),
    )
    const Answer = z.strictObject({
      model: z.string(),
      text: z.string().min(1),
      tokens: count,
      timeToFirstTokenMs: count,
      durationMs: count,
      nodeId: z.literal('node-1'),
      error: z.null(),
    })
    await document(z.strictObject({ answers: z.array(Answer).length(2) }), both)

    const wrong = await run([...generate, '-m', 'nobody', prompt])
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('(model_not_found)') })
    expect(wrong.stdout).toContain('Le chat')
    expect(await refused(['generate', '--tenant', 'acme', prompt])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('french'),
    })
    // The keys that were lent are given back.
    const keys = await said(['key', 'list', '--tenant', 'acme', '--state', 'active'])
    expect(keys).not.toContain('for one command')
  })

  test('the gateway is measured', async () => {
    const Two = z.strictObject({ p50: z.number().positive(), p99: z.number().positive() })
    const Bench = z.strictObject({
      models: z.array(z.string()),
      concurrency: z.literal(4),
      durationSeconds: z.literal(1),
      maxTokens: z.literal(64),
      requests: z.strictObject({
        ok: z.int().positive(),
        failed: z.literal(0),
        errors: z.object(),
      }),
      tokens: z.int().positive(),
      tokensPerSecond: z.number().positive(),
      timeToFirstTokenMs: Two,
      interTokenMs: Two,
      timePerTokenMs: Two,
      maxAdaptersInBatch: z.literal(2),
    })
    const models = ['-m', 'french', '-m', 'bard']
    await document(Bench, ['bench', '--tenant', 'acme', ...models, '-c', '4', '-d', '1s'])
  })

  test('top shows GPUs, adapters and what has been used; Ctrl-C ends it', async () => {
    expect(await said(['top'])).toMatch(/^node-1 +ready/m)
    const live = startCli(['top', '--json', '--data', folder], { env })
    await once(live.child.stdout ?? live.child, 'data')
    live.child.kill('SIGINT')
    const { code, stdout } = await live.ended
    expect(code).toBe(130)
    const [line = ''] = stdout.split('\n')
    expect(JSON.parse(line)).toMatchObject({ nodes: [{ id: 'node-1' }], live: true })
  })

  test('logs are read, filtered and followed', async () => {
    expect(await said(['logs', 'gateway'])).toMatch(/^\S+ \S+Z {2}info {3}gateway {2}ready/m)
    const Line = z.strictObject({
      time: time.nullable(),
      level: z.string(),
      service: z.literal('node-1'),
      message: z.string(),
    })
    const lines = (await said(['logs', 'node-1', '--json', '-n', '2'])).trim().split('\n')
    for (const line of lines) Line.parse(JSON.parse(line))
    expect(await refused(['logs', 'nobody'])).toMatchObject({ code: 2 })

    const following = startCli(['logs', 'gateway', '-f', '-n', '0', '--data', folder], { env })
    await until('a new line', async () => {
      await appendFile(path.join(folder, 'logs', 'gateway.log'), '{"level":50,"msg":"appended"}\n')
      return following.printed().stdout.includes('error  gateway  appended') ? true : null
    })
    following.child.kill('SIGINT')
    expect((await following.ended).code).toBe(130)
  })

  test('doctor knows what this machine has', async () => {
    const Check = z.strictObject({
      name: z.string(),
      verdict: z.enum(['ok', 'warn', 'fail']),
      detail: z.string(),
      advice: z.string().nullable(),
    })
    const { checks } = await document(z.strictObject({ checks: z.array(Check) }), ['doctor'])
    const found = checks.filter(({ verdict }) => verdict === 'ok').map(({ name }) => name)
    expect(found).toEqual(expect.arrayContaining(['Node.js', 'engine', 'nats-server', 'Postgres']))
  })

  test('a node is cordoned, drained and opened again', async () => {
    const { nodes } = await document(z.strictObject({ nodes: z.array(Node) }), ['node', 'list'])
    expect(nodes).toMatchObject([{ id: 'node-1', scheduling: 'OPEN' }])
    const changed = z.strictObject({ node: Node })
    expect((await document(changed, ['node', 'cordon', 'node-1'])).node.scheduling).toBe('CORDONED')
    expect(await said(['node', 'drain', 'node-1', '--wait'])).toContain('runs nothing')
    expect(await said(['node', 'list'])).toContain('drained')
    await said(['node', 'uncordon', 'node-1'])
    expect(await refused(['node', 'drain', 'gpu-99'])).toMatchObject({ code: 1 })
  })

  test('the catalog is compared with the database', async () => {
    const changed = z.strictObject({ changed: count })
    expect(await document(changed, ['catalog', 'rebuild'])).toEqual({ changed: 0 })
  })

  test('who reads no further ends it without a word', async () => {
    const { child, ended } = startCli(['adapter', 'list', '--data', folder], { env })
    child.stdout?.destroy()
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })

  test('a wrong call is told from a failure', async () => {
    expect(await refused(['adapter', 'push'])).toMatchObject({ code: 2 })
    expect(await refused(['nonsense'])).toMatchObject({ code: 2 })
    expect(await refused(['adapter', 'list', '--limit', '0'])).toMatchObject({ code: 2 })
    const away = ['status', '--url', 'http://127.0.0.1:9', '--key', 'pk_x']
    expect(await refused(away)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(unavailable)'),
    })
    // The folder's key is for the folder's system.
    const foreign = await refused(['status', '--url', 'http://127.0.0.1:9'])
    expect(foreign).toMatchObject({ code: 2, stderr: expect.stringContaining('PUNICA_KEY') })
  })
})
