// The driver under the schema engine. @prisma/adapter-pg cannot be it: it refuses the catalogue
// types that the engine's introspection selects, and it splits scripts at every semicolon, which
// breaks function bodies. Scripts go through Postgres' simple protocol here, whole.
import { DriverAdapterError, ColumnTypeEnum as Type } from '@prisma/driver-adapter-utils'
import pg from 'pg'

// Postgres type OIDs (src/include/catalog/pg_type.dat); what is not here is read as text.
const scalarTypes = {
  16: Type.Boolean,
  17: Type.Bytes,
  18: Type.Character,
  20: Type.Int64,
  21: Type.Int32,
  23: Type.Int32,
  26: Type.Int64,
  114: Type.Json,
  700: Type.Float,
  701: Type.Double,
  1082: Type.Date,
  1083: Type.Time,
  1114: Type.DateTime,
  1184: Type.DateTime,
  1700: Type.Numeric,
  2950: Type.Uuid,
  3802: Type.Json,
}
const arrayTypes = {
  1000: Type.BooleanArray,
  1001: Type.BytesArray,
  1002: Type.CharacterArray,
  1003: Type.TextArray,
  1005: Type.Int32Array,
  1007: Type.Int32Array,
  1009: Type.TextArray,
  1014: Type.TextArray,
  1015: Type.TextArray,
  1016: Type.Int64Array,
  1028: Type.Int64Array,
}

const toColumnType = (oid) => scalarTypes[oid] ?? arrayTypes[oid] ?? Type.Text

/** Splits Postgres' array literal: {a,"b c",NULL} */
const parseArray = (literal, parse) => {
  const items = [...literal.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|[^,]+/gs)]
  return items.map(([item, quoted]) => {
    if (quoted !== undefined) return parse(quoted.replaceAll(/\\(.)/gs, '$1'))
    return item === 'NULL' ? null : parse(item)
  })
}

const isTrue = (text) => text === 't'
const toUtc = (text) => `${text.replace(' ', 'T').replace(/[+-]\d{2}(:\d{2})?$/, '')}+00:00`
const parsers = {
  16: isTrue,
  21: Number,
  23: Number,
  700: Number,
  701: Number,
  1000: (text) => parseArray(text, isTrue),
  1005: (text) => parseArray(text, Number),
  1007: (text) => parseArray(text, Number),
  1114: toUtc,
  1184: toUtc,
}
const asIs = (value) => value
const types = {
  getTypeParser: (oid, format) => {
    if (format === 'binary') return asIs
    return parsers[oid] ?? (oid in arrayTypes ? (text) => parseArray(text, asIs) : asIs)
  },
}

const kinds = {
  '3D000': 'DatabaseDoesNotExist',
  ECONNREFUSED: 'DatabaseNotReachable',
  ENOTFOUND: 'DatabaseNotReachable',
}

const toAdapterError = (error, database) =>
  new DriverAdapterError({
    kind: kinds[error.code] ?? 'postgres',
    db: database,
    originalCode: error.code,
    originalMessage: error.message,
    code: error.code ?? 'N/A',
    severity: error.severity ?? 'ERROR',
    message: error.message,
    detail: error.detail,
    column: error.column,
    hint: error.hint,
  })

const toArgument = (value, type) => {
  if (value instanceof Date) return value.toISOString()
  const isBytes = type?.scalarType === 'bytes' && typeof value === 'string'
  return isBytes ? Buffer.from(value, 'base64') : value
}

/** One connection as the engine wants it. `dispose` closes it and then calls `onDispose`. */
const openAdapter = async (url, database, onDispose = async () => {}) => {
  const target = new URL(url)
  if (database !== undefined) target.pathname = `/${database}`
  const schemaName = target.searchParams.get('schema') ?? undefined
  target.searchParams.delete('schema')
  const name = target.pathname.slice(1)
  const client = new pg.Client({ connectionString: target.href })
  client.on('error', () => {}) // A lost connection fails the query under way; that is told there.

  const guard = async (work) => {
    try {
      return await work()
    } catch (error) {
      throw toAdapterError(error, name)
    }
  }
  const query = ({ sql, args, argTypes }) =>
    guard(() =>
      client.query({
        text: sql,
        values: args.map((value, i) => toArgument(value, argTypes[i])),
        rowMode: 'array',
        types,
      }),
    )
  const executeScript = (script) => guard(async () => void (await client.query(script)))

  await guard(() => client.connect())
  const adapter = {
    provider: 'postgres',
    adapterName: 'punica-schema-engine',
    queryRaw: async (statement) => {
      const { fields, rows } = await query(statement)
      return {
        columnNames: fields.map((field) => field.name),
        columnTypes: fields.map((field) => toColumnType(field.dataTypeID)),
        rows,
      }
    },
    executeRaw: async (statement) => (await query(statement)).rowCount ?? 0,
    executeScript,
    startTransaction: async (isolation) => {
      await executeScript(isolation === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${isolation}`)
      return {
        ...adapter,
        options: { usePhantomQuery: false },
        commit: () => executeScript('COMMIT'),
        rollback: () => executeScript('ROLLBACK'),
      }
    },
    getConnectionInfo: () => ({ schemaName, supportsRelationJoins: true }),
    dispose: async () => {
      await client.end()
      await onDispose()
    },
  }
  return adapter
}

/** Opens connections to the database of `url`, and shadow databases that vanish when closed. */
export const pgAdapterFactory = (url) => ({
  provider: 'postgres',
  adapterName: 'punica-schema-engine',
  connect: () => openAdapter(url),
  connectToShadowDb: async () => {
    const name = `prisma_migrate_shadow_db_${crypto.randomUUID()}`
    const admin = await openAdapter(url)
    await admin.executeScript(`CREATE DATABASE "${name}"`)
    return openAdapter(url, name, async () => {
      await admin.executeScript(`DROP DATABASE "${name}" WITH (FORCE)`)
      await admin.dispose()
    })
  },
})
