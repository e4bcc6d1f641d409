import { createHash } from 'node:crypto'

/**
 * The digest of an adapter, lower-case hex: sha256 over one line `name:sha256` for each of its
 * files, sorted by name. It changes exactly when a file's name or content does.
 */
export const adapterDigest = (files: readonly { name: string; digest: string }[]): string => {
  const hash = createHash('sha256')
  for (const { name, digest } of [...files].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    hash.update(`${name}:${digest}\n`)
  }
  return hash.digest('hex')
}
