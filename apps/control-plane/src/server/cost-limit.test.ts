import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { buildSchema, parse, specifiedRules, validate } from 'graphql'
import { expect, test } from 'vitest'
import { costLimit } from './cost-limit.ts'

const sdl = fileURLToPath(import.meta.resolve('@punica/schema/schema.graphql'))
const schema = buildSchema(await readFile(sdl, 'utf8'))

const problemsOf = (query: string): string[] =>
  validate(schema, parse(query), [...specifiedRules, costLimit]).map(({ message }) => message)

const nest = (depth: number): string =>
  depth === 0 ? 'id' : `adapters(first: 1) { edges { node { tenant { ${nest(depth - 1)} } } } }`

test.each([
  [
    'a page with what a console shows',
    '{ adapters(first: 100) { edges { node { id name tenant { slug } versions { digest rank } } } } }',
  ],
  ['introspection', '{ __schema { types { fields { type { ofType { name } } } } } }'],
  [
    'many names of one cheap field',
    `{ ${Array.from({ length: 150 }, (_, i) => `v${i}: viewer { role }`).join(' ')} }`,
  ],
])('%s is within the limits', (_, query) => {
  expect(problemsOf(query)).toEqual([])
})

test.each([
  ['too deep', `{ tenant(slug: "a") { ${nest(3)} } }`, 'nests 14 levels, the limit is 12'],
  [
    'pages of pages',
    '{ tenants(first: 100) { edges { node { adapters(first: 100) { edges { node { id versions { id } } } } } } } }',
    'may answer',
  ],
  [
    'pages whose size is a variable',
    'query ($n: Int) { tenants(first: $n) { edges { node { adapters(first: $n) { edges { node { id } } } } } } }',
    'may answer',
  ],
  [
    'pages of the default size',
    '{ tenants { edges { node { adapters { edges { node { versions { id } } } } } } } }',
    'may answer',
  ],
  [
    'many names of one dear field',
    `{ ${Array.from({ length: 100 }, (_, i) => `v${i}: tenants(first: 100) { edges { node { id slug } } }`).join(' ')} }`,
    'may answer',
  ],
  [
    'fragments that double each other',
    `query { ${'tenants { ...F0 }'} }
    ${Array.from({ length: 30 }, (_, i) => `fragment F${i} on TenantConnection { ...F${i + 1} a${i}: edges { node { id } } ...F${i + 1} }`).join('\n')}
    fragment F30 on TenantConnection { pageInfo { hasNextPage } }`,
    'may answer',
  ],
])('%s is refused', (_, query, expected) => {
  expect(problemsOf(query).join()).toContain(expected)
})

test('a cycle of fragments ends', () => {
  const query =
    '{ tenants { ...A } } fragment A on TenantConnection { ...B } fragment B on TenantConnection { ...A }'
  expect(problemsOf(query).join()).toContain('Cannot spread fragment "A" within itself')
})
