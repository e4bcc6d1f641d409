// Writes openapi.json and asyncapi.json beside this package's schema.graphql.
import { writeFileSync } from 'node:fs'
import { asyncApiDocument, openApiDocument } from '../src/documents/index.ts'

const write = (name: string, document: object): void => {
  writeFileSync(new URL(`../${name}`, import.meta.url), `${JSON.stringify(document, null, 2)}\n`)
}

write('openapi.json', openApiDocument())
write('asyncapi.json', asyncApiDocument())
