// The control plane with 100,000 adapters in 10,000 tenants over a real Postgres and a real
// nats-server: how long the console's lists take over HTTP, and a change until a gateway has seen it.
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { connectBus } from '@punica/bus'
import { startNatsServer } from '@punica/bus/testing'
import { tenantRecords } from '@punica/schema'
import pg from 'pg'
import { migrate } from '../src/db/migrate.ts'
import { createKey } from '../src/keys/api-key.ts'
import { startHarness } from '../src/testing/harness.ts'
import { startPostgres } from '../src/testing/postgres.ts'
import { sumTraffic } from '../src/usage/traffic.ts'

const numTenants = 10_000
const numAdapters = 100_000
const numRounds = 1_000
const numChanges = 300

/** Everything from one seed: what is where, how often it was used, who did what. */
const seed = `
  SELECT setseed(0.5);
  INSERT INTO base_model (name, architecture, max_context, shape) VALUES ('demo', 'llama', 1024, '{}') ON CONFLICT DO NOTHING;
  INSERT INTO pool (name, base_model_name) VALUES ('default', 'demo') ON CONFLICT DO NOTHING;
  INSERT INTO tenant (id, slug, name, weight, suspended)
    SELECT gen_random_uuid(), 'tenant-' || i, 'Tenant ' || md5(i::text), 1, i % 50 = 0
    FROM generate_series(1, ${numTenants}) i;
  INSERT INTO api_key (id, tenant_id, prefix, hash, name, scopes)
    SELECT gen_random_uuid(), id, substr(md5(slug || k), 1, 12), md5(slug) || md5(slug), 'key ' || k, '{GENERATE}'
    FROM tenant, generate_series(1, 2) k;
  INSERT INTO adapter (id, tenant_id, name, base_model_name)
    SELECT gen_random_uuid(), id, (ARRAY['support', 'sql', 'legal', 'style', 'triage'])[1 + k % 5] || '-' || substr(md5(slug || k), 1, 8), 'demo'
    FROM tenant, generate_series(1, ${numAdapters / numTenants}) k;
  INSERT INTO adapter_version (id, adapter_id, version, digest, rank, target_modules, num_tensors, size_bytes)
    SELECT gen_random_uuid(), id, v, md5(id::text) || md5(v::text || id), 16, '{q_proj,v_proj}', 4, 1000000
    FROM adapter, generate_series(1, 2) v;
  INSERT INTO adapter_file (version_id, name, digest, size_bytes)
    SELECT id, f, digest, 1000 FROM adapter_version, unnest(ARRAY['adapter_config.json', 'adapter_model.safetensors']) f;
  INSERT INTO adapter_alias (id, adapter_id, name, revision) SELECT gen_random_uuid(), id, 'default', 1 FROM adapter;
  INSERT INTO alias_revision (alias_id, revision, origin, actor) SELECT id, 1, 1, 'seed' FROM adapter_alias;
  INSERT INTO alias_target (alias_id, revision, version_id, weight)
    SELECT a.id, 1, v.id, 1 FROM adapter_alias a JOIN adapter_version v ON v.adapter_id = a.adapter_id AND v.version = 2;
  INSERT INTO usage_record (tenant_id, adapter_digest, hour, requests, prompt_tokens, generated_tokens)
    SELECT a.tenant_id, v.digest, date_trunc('hour', now(), 'UTC') - h * interval '1 hour', 1, 1000 * random(), 1000 * random()
    FROM adapter a JOIN adapter_version v ON v.adapter_id = a.id AND v.version = 2, generate_series(0, 23) h
    WHERE random() < 0.2;
  INSERT INTO audit_event (id, actor, role, action, tenant, outcome)
    SELECT gen_random_uuid(), 'seed', 'OPERATOR', (ARRAY['createTenant', 'createApiKey', 'publishAdapter'])[1 + i % 3], 'tenant-' || (1 + i % ${numTenants}), 'ok'
    FROM generate_series(1, 100000) i;
  VACUUM ANALYZE;`

const day = 24 * 3600_000
const range = `from: "${new Date(Date.now() - day).toISOString()}", to: "${new Date(Date.now() + day).toISOString()}"`
const page = 'pageInfo { hasNextPage endCursor }'
const adapter = `edges { node { id name tenant { slug } versions { version digest } aliases { name targets { version weight } } traffic { requests generatedTokens } } }`

/** What a console asks; `i` differs from round to round. */
const queries: Record<string, (i: number) => string> = {
  'adapters, first page': () => `{ adapters(first: 50) { totalCount ${page} ${adapter} } }`,
  'adapters by name': () =>
    `{ adapters(first: 50, orderBy: { field: NAME }) { totalCount ${page} ${adapter} } }`,
  'adapters by traffic': () =>
    `{ adapters(first: 50, orderBy: { field: TRAFFIC, direction: DESC }) { totalCount ${page} ${adapter} } }`,
  'adapters, search of 4 letters': (i) =>
    `{ adapters(first: 50, search: "${i.toString(16).padStart(4, 'a')}") { totalCount ${page} ${adapter} } }`,
  'adapters, search that half of them match': () =>
    `{ adapters(first: 50, search: "l", orderBy: { field: NAME }) { totalCount ${page} ${adapter} } }`,
  'adapters of a tenant by traffic': (i) =>
    `{ adapters(tenant: "tenant-${1 + i}", first: 50, orderBy: { field: TRAFFIC, direction: DESC }) { totalCount ${page} ${adapter} } }`,
  'tenants by traffic': () =>
    `{ tenants(first: 50, orderBy: { field: TRAFFIC, direction: DESC }) { totalCount ${page} edges { node { slug name suspended traffic { requests } } } } }`,
  'tenants, search': (i) =>
    `{ tenants(first: 50, search: "tenant-${i % 100}") { totalCount ${page} edges { node { slug name apiKeys(first: 3) { totalCount } adapters(first: 1) { totalCount } } } } }`,
  'one tenant with keys, credentials and adapters': (i) =>
    `{ tenant(slug: "tenant-${1 + i}") { slug apiKeys { edges { node { prefix state } } } natsCredentials { totalCount } adapters(first: 50) { totalCount edges { node { name } } } } }`,
  'keys, search': (i) =>
    `{ apiKeys(first: 50, state: ACTIVE, search: "${(i % 256).toString(16).padStart(3, '0')}") { totalCount ${page} edges { node { prefix name state tenant { slug } } } } }`,
  'audit of a tenant': (i) =>
    `{ auditEvents(filter: { tenant: "tenant-${1 + i}" }, first: 50) { ${page} edges { node { at action actor outcome } } } }`,
  'audit by action': () =>
    `{ auditEvents(filter: { action: "publishAdapter" }, first: 50) { ${page} edges { node { at action actor outcome tenant } } } }`,
  'usage of a tenant by hour': (i) =>
    `{ usage(filter: { tenant: "tenant-${1 + i}", ${range} }, first: 50) { ${page} edges { node { adapter start generatedTokens } } } }`,
  'usage of all by hour, first page': () =>
    `{ usage(filter: { ${range} }, first: 50) { ${page} edges { node { tenant adapter start generatedTokens } } } }`,
}

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? 0

const postgres = await startPostgres()
const nats = await startNatsServer()
const bus = await connectBus({ url: nats.url })
await migrate(postgres.url)
const client = new pg.Client({ connectionString: postgres.url })
await client.connect()
for (const statement of seed.split(/;\n/)) await client.query(statement)
const { rows } = await client.query(
  'SELECT (SELECT count(*) FROM adapter) AS adapters, (SELECT count(*) FROM usage_record) AS usage',
)
await client.end()
console.log(
  `seeded: ${numTenants} tenants, ${rows[0].adapters} adapters, ${rows[0].usage} usage rows`,
)

const startMs = performance.now()
const beside = { databaseUrl: postgres.url, operatorKey: createKey().secret, bus }
const harness = await startHarness({ beside, baseModel: null })
const rebuildSeconds = (performance.now() - startMs) / 1000
console.log(`whole catalog written in ${rebuildSeconds.toFixed(1)} s`)

const results: Record<string, { p50: number; p99: number; max: number }> = {}
const record = (name: string, times: readonly number[]): void => {
  const [p50, p99, max] = [quantile(times, 0.5), quantile(times, 0.99), Math.max(...times)]
  results[name] = { p50, p99, max }
  console.log(
    `${name.padEnd(50)} p50 ${p50.toFixed(1)}  p99 ${p99.toFixed(1)}  max ${max.toFixed(1)} ms`,
  )
}
const ask = async (query: string) => {
  harness.statements.length = 0
  const { data, errors } = await harness.graphql(query)
  if (errors !== undefined) throw new Error(JSON.stringify(errors))
  return data
}

// The first sum writes every row at once, which only a seeded database sees; autovacuum cleans up
// behind it within a minute, and would do so in the middle of the measurement.
await sumTraffic(harness.db)
await harness.db.$executeRawUnsafe('VACUUM (ANALYZE) tenant, adapter')
for (const [name, toQuery] of Object.entries(queries)) {
  for (let i = 0; i < 5; i++) await ask(toQuery(numRounds + i))
  const times: number[] = []
  for (let i = 0; i < numRounds; i++) {
    const from = performance.now()
    await ask(toQuery(i))
    times.push(performance.now() - from)
  }
  record(name, times)
}

{
  const query = (after: string) =>
    `{ adapters(first: 100, ${after} orderBy: { field: TRAFFIC, direction: DESC }) { ${page} edges { node { id name tenant { slug } } } } }`
  const times: number[] = []
  let after = ''
  for (let i = 0; i < 1_000; i++) {
    const from = performance.now()
    const data = await ask(query(after))
    times.push(performance.now() - from)
    after = `after: "${data?.adapters.pageInfo.endCursor}",`
  }
  record('adapters by traffic, every page of 100 to the last', times)
}

{
  const gateway = await connectBus({ url: nats.url })
  const seen = new Map<string, () => void>()
  await (await gateway.records(tenantRecords)).watch(({ key, value }) =>
    seen.get(`${key} ${value?.weight}`)?.(),
  )
  const times: number[] = []
  for (let i = 0; i < numChanges; i++) {
    const [slug, weight] = [`tenant-${1 + i}`, 2 + i / 1000]
    const arrived = new Promise<void>((resolve) => seen.set(`${slug} ${weight}`, resolve))
    const from = performance.now()
    const done = ask(
      `mutation { updateTenant(input: { slug: "${slug}", weight: ${weight} }) { __typename } }`,
    )
    await arrived
    times.push(performance.now() - from)
    await done
  }
  record('a change, from its request to a gateway', times)
  await gateway.close()
}

const [output] = process.argv.slice(2)
if (output !== undefined) {
  const [cpu] = cpus()
  const report = {
    cpu: cpu?.model,
    cores: cpus().length,
    node: process.version,
    numTenants,
    numAdapters,
    rebuildSeconds,
    results,
  }
  writeFileSync(output, `${JSON.stringify(report, null, 2)}\n`)
}
await harness.stop()
await bus.close()
await nats.stop()
await postgres.stop()
const late = Object.entries(results).filter(
  ([name, { p99 }]) => p99 > (name.startsWith('a change') ? 250 : 50),
)
if (late.length > 0) {
  console.error(`over the limit: ${late.map(([name]) => name).join(', ')}`)
  process.exitCode = 1
}
