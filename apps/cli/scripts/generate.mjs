import { generateOperations } from '../../../scripts/generate-operations.mjs'

await generateOperations(new URL('../', import.meta.url), {
  // The text is all that is sent; a command that answers at once has no time to parse it.
  documentMode: 'string',
  skipTypename: true,
})
