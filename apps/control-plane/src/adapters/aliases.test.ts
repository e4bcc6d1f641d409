import { channels } from '@punica/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, type Payload, startHarness } from '../testing/harness.ts'
import { nodeStatus } from '../testing/node-status.ts'
import { createUploads } from '../testing/uploads.ts'

let harness: Harness
let uploads: ReturnType<typeof createUploads>
let key = ''
beforeAll(async () => {
  harness = await startHarness()
  key = (await harness.createTenant('acme')).admin
  await harness.createTenant('other')
  uploads = createUploads(harness, { tenant: 'acme', key })
})
afterAll(() => harness.stop())

const aliasFields = 'adapter { name } alias { name revision targets { version weight } }'
const shares = (targets: Record<number, number>) =>
  Object.entries(targets).map(([version, weight]) => ({ version: Number(version), weight }))

const set = (name: string, targets: Record<number, number>, alias?: string): Promise<Payload> => {
  const input = { tenant: 'acme', name, targets: shares(targets), ...(alias && { alias }) }
  return harness.mutate('setAdapterAlias', input, aliasFields, key)
}

const rollback = (name: string, rest: object = {}): Promise<Payload> =>
  harness.mutate('rollbackAdapterAlias', { tenant: 'acme', name, ...rest }, aliasFields, key)

const archiveVersion = (name: string, version: number): Promise<Payload> => {
  const input = { tenant: 'acme', name, version }
  return harness.mutate('archiveAdapterVersion', input, 'version { archivedAt }', key)
}

const archive = (name: string): Promise<Payload> =>
  harness.mutate('archiveAdapter', { tenant: 'acme', name }, 'adapter { archivedAt }', key)

/** An adapter with versions 1 to `count`; the newest has the bare name. */
const make = async (name: string, count: number): Promise<string[]> => {
  const digests: string[] = []
  for (let n = 1; n <= count; n++) digests.push((await uploads.publishNth(name, n)).version.digest)
  return digests
}

describe('an alias', () => {
  test('shares requests out in proportion, and one call takes it back', async () => {
    await make('canary', 2)
    expect((await set('canary', { 1: 90, 2: 10 })).alias).toEqual({
      name: 'default',
      revision: 3,
      targets: shares({ 1: 0.9, 2: 0.1 }),
    })
    expect(await uploads.sharesOf('canary')).toEqual([
      [1, 0.9],
      [2, 0.1],
    ])
    await set('canary', { 2: 1 })
    await rollback('canary')
    expect(await uploads.sharesOf('canary')).toEqual([
      [1, 0.9],
      [2, 0.1],
    ])
    // Further back, past what was taken back before.
    await rollback('canary')
    expect(await uploads.sharesOf('canary')).toEqual([[2, 1]])
    await rollback('canary')
    expect(await uploads.sharesOf('canary')).toEqual([[1, 1]])
    expect(await rollback('canary')).toMatchObject({ code: 'conflict' })
    await rollback('canary', { revision: 3 })
    expect(await uploads.sharesOf('canary')).toEqual([
      [1, 0.9],
      [2, 0.1],
    ])
    const query =
      '{ adapter(tenant: "acme", name: "canary") { versions { version weight aliases } aliases { name history { revision actor targets { version } } } } }'
    const { adapter } = (await harness.graphql(query, {}, key)).data ?? {}
    expect(adapter.versions).toEqual([
      { version: 2, weight: 0.1, aliases: ['default'] },
      { version: 1, weight: 0.9, aliases: ['default'] },
    ])
    const [{ history }] = adapter.aliases
    expect(history.map(({ revision }: Payload) => revision)).toEqual([8, 7, 6, 5, 4, 3, 2, 1])
    expect(history[0].actor).toBe(key.split('_')[1])
  })

  test('of another name stands beside the bare name and can be removed', async () => {
    await make('named', 2)
    await set('named', { 1: 1 }, 'stable')
    expect(await uploads.sharesOf('named')).toEqual([[2, 1]])
    expect(await uploads.sharesOf('named', 'stable')).toEqual([[1, 1]])
    const input = { tenant: 'acme', name: 'named', alias: 'stable' }
    await harness.mutate('removeAdapterAlias', input, 'adapter { name }', key)
    expect(await uploads.sharesOf('named', 'stable')).toBeUndefined()
    expect(
      await harness.mutate('removeAdapterAlias', input, 'adapter { name }', key),
    ).toMatchObject({ code: 'not_found', field: 'alias' })
  })

  test('takes a new version in with the share that its publication says', async () => {
    await make('gentle', 1)
    await uploads.publishNth('gentle', 2, 0)
    expect(await uploads.sharesOf('gentle')).toEqual([[1, 1]])
    await uploads.publishNth('gentle', 3, 0.25)
    expect(await uploads.sharesOf('gentle')).toEqual([
      [1, 0.75],
      [3, 0.25],
    ])
    // The same bytes again are the same version, and its share is set, not added.
    await uploads.publishNth('gentle', 3, 0.5)
    expect(await uploads.sharesOf('gentle')).toEqual([
      [1, 0.5],
      [3, 0.5],
    ])
    await uploads.publishNth('gentle', 4)
    expect(await uploads.sharesOf('gentle')).toEqual([[4, 1]])
    expect(await uploads.publishNth('gentle', 5, 1.5)).toMatchObject({
      code: 'invalid_request',
      field: 'weight',
    })
  })

  test.each([
    [{ name: 'nothing' }, 'not_found', 'name'],
    [{ targets: shares({ 9: 1 }) }, 'not_found', 'targets'],
    [{ targets: [] }, 'invalid_request', 'targets'],
    [{ targets: [...shares({ 1: 1 }), ...shares({ 1: 2 })] }, 'invalid_request', 'targets'],
    [{ targets: shares({ 1: 0 }) }, 'invalid_request', 'targets.0.weight'],
    [{ targets: shares({ 1: -1 }) }, 'invalid_request', 'targets.0.weight'],
    [{ alias: '2' }, 'invalid_request', 'alias'],
    [{ alias: 'a@b' }, 'invalid_request', 'alias'],
  ])('is not set with %j', async (changes, code, field) => {
    await make('strict', 1)
    const input = { tenant: 'acme', name: 'strict', targets: shares({ 1: 1 }), ...changes }
    const result = await harness.mutate('setAdapterAlias', input, aliasFields, key)
    expect(result).toMatchObject({ code, field })
  })

  test('is bounded in number and in history', async () => {
    await make('bounded', 2)
    for (let i = 1; i < 16; i++) await set('bounded', { 1: 1 }, `alias-${i}`)
    expect(await set('bounded', { 1: 1 }, 'one-more')).toMatchObject({ code: 'conflict' })
    for (let i = 0; i < 40; i++) await set('bounded', { [(i % 2) + 1]: 1 }, 'alias-1')
    const alias = await harness.db.adapterAlias.findFirst({
      where: { name: 'alias-1', adapter: { name: 'bounded' } },
      include: { revisions: true },
    })
    expect(alias?.revisions.length).toBe(32)
    expect(await rollback('bounded', { alias: 'alias-1', revision: 1 })).toMatchObject({
      code: 'not_found',
      field: 'revision',
    })
  })

  test('changed by many at once holds one of the changes whole', async () => {
    await make('busy', 2)
    const all = [0.1, 0.2, 0.3, 0.4].map((weight) => set('busy', { 1: 1 - weight, 2: weight }))
    const revisions = (await Promise.all(all)).map(({ alias }) => alias.revision)
    expect(revisions.toSorted()).toEqual([3, 4, 5, 6])
    const [one = [], two = []] = (await uploads.sharesOf('busy')) ?? []
    expect((one[1] ?? 0) + (two[1] ?? 0)).toBeCloseTo(1)
  })
})

describe('an archive', () => {
  const running = (digest: string | null, tenant = 'acme'): void => {
    const requests = [{ requestId: 'r', attempt: 0, tenant, adapterDigest: digest }]
    const status = nodeStatus('runner', { requests })
    harness.bus.publish(channels.nodeEvents('default'), { type: 'status', status })
  }

  test('of a version waits for aliases and requests, and is for good', async () => {
    const [first = ''] = await make('versions', 2)
    await set('versions', { 1: 1 }, 'old')
    expect(await archiveVersion('versions', 1)).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('Alias old'),
    })
    await set('versions', { 2: 1 }, 'old')
    running(first)
    expect(await archiveVersion('versions', 1)).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('Requests run'),
    })
    // The same weights under another tenant's adapter are no use of this one.
    running(first, 'other')
    expect((await archiveVersion('versions', 1)).version.archivedAt).not.toBeNull()
    const record = await uploads.recordOf('versions')
    expect(record?.versions.map(({ version }) => version)).toEqual([2])
    expect(await set('versions', { 1: 1 })).toMatchObject({ code: 'conflict' })
    expect(await rollback('versions', { alias: 'old' })).toMatchObject({ code: 'conflict' })
    expect(await archiveVersion('versions', 3)).toMatchObject({ code: 'not_found' })
  })

  test('of an adapter waits for grants, aliases and requests, and frees its name', async () => {
    const [first = '', second = ''] = await make('whole', 2)
    const grant = { tenant: 'acme', name: 'whole', to: 'other' }
    await harness.mutate('grantAdapter', grant, 'adapter { id }', key)
    await set('whole', { 1: 1 }, 'old')
    expect((await archive('whole')).message).toContain('granted to tenant other')
    await harness.mutate('revokeAdapterGrant', grant, 'adapter { id }', key)
    expect((await archive('whole')).message).toContain('alias old')
    const alias = { tenant: 'acme', name: 'whole', alias: 'old' }
    await harness.mutate('removeAdapterAlias', alias, 'adapter { id }', key)
    running(second)
    expect((await archive('whole')).message).toContain('Requests run')
    running(null)
    expect((await archive('whole')).adapter.archivedAt).not.toBeNull()
    expect(await uploads.recordOf('whole')).toBeUndefined()
    expect(await archive('whole')).toMatchObject({ code: 'not_found' })
    expect(await harness.mutate('grantAdapter', grant, 'adapter { id }', key)).toMatchObject({
      code: 'not_found',
    })

    const again = await uploads.publishNth('whole', 1)
    expect(again.version).toMatchObject({ version: 3, digest: first, weight: 1 })
    expect((await uploads.recordOf('whole'))?.versions.map(({ version }) => version)).toEqual([3])
  })
})
