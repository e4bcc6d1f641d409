import { readFileSync } from 'node:fs'
import specs from '@asyncapi/specs'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { expect, test } from 'vitest'
import * as channels from '../channels.ts'
import { asyncApiDocument, openApiDocument } from './index.ts'

const fileOf = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8'))

test('the files are the documents; `npm run documents -w packages/schema` writes them', () => {
  expect(fileOf('openapi.json')).toEqual(openApiDocument())
  expect(fileOf('asyncapi.json')).toEqual(asyncApiDocument())
})

test('the OpenAPI document is valid', async () => {
  const result = await new Validator().validate(openApiDocument())
  expect(result.errors).toBeUndefined()
  expect(result.valid).toBe(true)
})

test('the AsyncAPI document is valid, and its addresses are the channels', () => {
  const document = asyncApiDocument()
  const ajv = new Ajv({ strict: false, allErrors: true, logger: false })
  formats.default(ajv)
  const schema: object = specs.schemasWithoutId['3.0.0']
  const validate = ajv.compile(schema)
  validate(document)
  expect(validate.errors ?? []).toEqual([])
  expect(document.channels).toMatchObject({
    generate: { address: channels.generate('{tenant}').subject },
    abort: { address: channels.abort('{tenant}').subject },
    models: { address: channels.models('{tenant}').subject },
  })
})
