// Writes src/generated: every operation of src/graphql, checked against the schema, with its types.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { codegen } from '@graphql-codegen/core'
import * as documents from '@graphql-codegen/typed-document-node'
import * as operations from '@graphql-codegen/typescript-operations'
import { parse } from 'graphql'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))

const schema = parse(readFileSync(at('../../../packages/schema/schema.graphql'), 'utf8'))
const folder = at('../src/graphql')
const sources = readdirSync(folder)
  .filter((name) => name.endsWith('.graphql'))
  .map((name) => ({
    location: name,
    document: parse(readFileSync(`${folder}/${name}`, 'utf8')),
  }))

const text = await codegen({
  schema,
  documents: sources,
  filename: 'graphql.ts',
  pluginMap: { operations, documents },
  plugins: [{ operations: {} }, { documents: {} }],
  config: {
    useTypeImports: true,
    enumsAsTypes: true,
    enumType: 'string-literal',
    // The text is all that is sent; a command that answers at once has no time to parse it.
    documentMode: 'string',
    scalars: { DateTime: 'string', Long: 'number', ID: 'string' },
    skipTypename: true,
  },
})
mkdirSync(at('../src/generated'), { recursive: true })
writeFileSync(at('../src/generated/graphql.ts'), text)
