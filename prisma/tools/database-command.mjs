import pg from 'pg'

const quote = (name) => `"${name.replaceAll('"', '""')}"`

const withClient = async (url, database, work) => {
  const target = new URL(url)
  target.pathname = `/${database}`
  target.search = ''
  const client = new pg.Client({ connectionString: target.href })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

const commands = {
  'can-connect-to-database': (url, name) => withClient(url, name, async () => {}),
  'create-database': (url, name) =>
    withClient(url, 'postgres', (client) => client.query(`CREATE DATABASE ${quote(name)}`)),
  'drop-database': (url, name) =>
    withClient(url, 'postgres', (client) => client.query(`DROP DATABASE IF EXISTS ${quote(name)}`)),
}

/** What the CLI understands, by Postgres' SQLSTATE; anything else means that nobody answered. */
const describe = (error, url, name) => {
  const { hostname, port } = new URL(url)
  if (error.code === '3D000') return ['P1003', `Database \`${name}\` does not exist`]
  if (error.code === '28P01') return ['P1000', error.message]
  return ['P1001', `Can't reach database server at \`${hostname}:${port || 5432}\``]
}

/** Runs `schema-engine cli <command>` and returns its exit code; failures go to stderr as JSON. */
export const runDatabaseCommand = async (command, url) => {
  const name = decodeURIComponent(new URL(url).pathname.slice(1)) || 'postgres'
  try {
    await commands[command](url, name)
    return 0
  } catch (error) {
    const [code, message] = describe(error, url, name)
    const fields = { is_panic: false, error_code: code, message }
    const line = {
      timestamp: new Date().toISOString(),
      level: 'ERROR',
      fields,
      target: 'schema_engine::logger',
    }
    // The CLI skips the first line.
    process.stderr.write(`\n${JSON.stringify(line)}\n`)
    return 1
  }
}
