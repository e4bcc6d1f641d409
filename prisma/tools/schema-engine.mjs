#!/usr/bin/env node
// Stands in for Prisma's native `schema-engine`: the same JSON-RPC over stdin and stdout and the
// same `cli` sub-commands, around the WASM build of that engine from the npm registry and the `pg`
// driver. prisma.config.ts names it, so the CLI starts it wherever it would start the native one.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import { runDatabaseCommand } from './database-command.mjs'
import { pgAdapterFactory } from './pg-adapter.mjs'

const { values: flags, positionals } = parseArgs({
  args: process.argv.slice(2),
  strict: false,
  allowPositionals: true,
  options: {
    version: { type: 'boolean' },
    datamodels: { type: 'string', multiple: true },
    datasource: { type: 'string' },
  },
})
const { url } = flags.datasource === undefined ? {} : JSON.parse(flags.datasource)

/** The wasm-bindgen glue of the package expects a bundler; this is what the bundler would do. */
const loadEngine = async () => {
  const require = createRequire(import.meta.url)
  const folder = dirname(require.resolve('@prisma/schema-engine-wasm'))
  const glue = await import(join(folder, 'schema_engine_bg.js'))
  const bytes = readFileSync(join(folder, 'schema_engine_bg.wasm'))
  const { instance } = await WebAssembly.instantiate(bytes, { './schema_engine_bg.js': glue })
  glue.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  const datamodels = flags.datamodels?.map((path) => [path, readFileSync(path, 'utf8')])
  const adapters = bindMigrationAwareSqlAdapterFactory(pgAdapterFactory(url))
  return glue.SchemaEngine.new({ datamodels }, () => {}, adapters)
}

const send = (message) =>
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)

const toRpcError = (cause) => {
  const text = cause?.message ?? String(cause)
  let known = {}
  try {
    known = JSON.parse(text)
  } catch {
    // Not one of the engine's own errors, which carry JSON as their message.
  }
  return {
    code: 4466,
    message: 'An error happened. Check the data field for details.',
    data: {
      is_panic: false,
      message: known.message ?? text,
      error_code: known.error_code ?? cause?.code ?? null,
      meta: known.meta ?? null,
    },
  }
}

let engine
let nextNotificationId = 1

const call = async (method, params) => {
  if (method === 'createDatabase') return { databaseName: new URL(url).pathname.slice(1) }
  engine ??= await loadEngine()
  // These two read what devDiagnostic leaves in the engine's cache. Without it they would open a
  // shadow database through an interface that the WASM build does not have.
  const readsCache = method === 'evaluateDataLoss' || method === 'createMigration'
  if (readsCache && params.migrationsList.migrationDirectories.length > 0) {
    await engine.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters })
  }
  const result = await engine[method === 'getDatabaseVersion' ? 'version' : method](params)
  if (method !== 'diff' || result?.stdout == null) return result ?? {}
  // The native engine prints a diff through a notification and returns nothing.
  send({ id: nextNotificationId++, method: 'print', params: { content: result.stdout } })
  return { ...result, stdout: null }
}

const answer = async ({ id, method, params }) => {
  try {
    send({ id, result: await call(method, params) })
  } catch (cause) {
    send({ id, error: toRpcError(cause) })
  }
}

const serve = () => {
  let queue = Promise.resolve()
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (line.trim() === '') return
      const message = JSON.parse(line)
      if (message.method !== undefined) queue = queue.then(() => answer(message))
    })
    .on('close', () => queue.then(() => process.exit(0)))
}

if (flags.version) console.log('schema-engine-cli wasm')
else if (positionals[0] === 'cli') process.exitCode = await runDatabaseCommand(positionals[1], url)
else serve()
