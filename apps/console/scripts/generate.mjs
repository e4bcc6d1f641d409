import { generateOperations } from '../../../scripts/generate-operations.mjs'

await generateOperations(new URL('../', import.meta.url), {
  // The text, parsed in the browser, is a fraction of its parsed form.
  documentMode: 'graphQLTag',
  gqlImport: 'urql#gql',
  nonOptionalTypename: true,
})
