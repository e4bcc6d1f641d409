// Writes an application's src/generated/graphql.ts: every operation of its src/graphql, checked
// against the schema, with its types.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { codegen } from '@graphql-codegen/core'
import * as documents from '@graphql-codegen/typed-document-node'
import * as operations from '@graphql-codegen/typescript-operations'
import { parse } from 'graphql'

const schemaFile = new URL('../packages/schema/schema.graphql', import.meta.url)

/** `app`: the URL of its folder; `options`: how documents are written, in the generator's words. */
export const generateOperations = async (app, options) => {
  const at = (path) => fileURLToPath(new URL(path, app))
  const folder = at('src/graphql')
  const sources = readdirSync(folder)
    .filter((name) => name.endsWith('.graphql'))
    .map((name) => ({
      location: name,
      document: parse(readFileSync(`${folder}/${name}`, 'utf8')),
    }))
  const text = await codegen({
    schema: parse(readFileSync(schemaFile, 'utf8')),
    documents: sources,
    filename: 'graphql.ts',
    pluginMap: { operations, documents },
    plugins: [{ operations: {} }, { documents: {} }],
    config: {
      useTypeImports: true,
      enumsAsTypes: true,
      enumType: 'string-literal',
      scalars: { DateTime: 'string', Long: 'number', ID: 'string' },
      ...options,
    },
  })
  mkdirSync(at('src/generated'), { recursive: true })
  writeFileSync(at('src/generated/graphql.ts'), text)
}
