import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const dist = fileURLToPath(new URL('../dist', import.meta.url))

type Manifest = Record<string, { file: string; imports?: string[] }>

/** What a browser fetches before the overview is there: the entry, the page, and all they import. */
const firstLoad = (): string[] => {
  const manifest: Manifest = JSON.parse(
    readFileSync(path.join(dist, '.vite/manifest.json'), 'utf8'),
  )
  const files = new Set<string>()
  const visit = (name: string): void => {
    const chunk = manifest[name]
    if (chunk === undefined) throw new Error(`${name} is not in the build`)
    if (files.has(chunk.file)) return
    files.add(chunk.file)
    for (const imported of chunk.imports ?? []) visit(imported)
  }
  visit('index.html')
  visit('src/pages/overview/overview.tsx')
  return [...files]
}

test('the first load has at most 250 kB of JavaScript, gzipped', () => {
  if (!existsSync(dist)) throw new Error('Build the console first: npm run build')
  const sizes = firstLoad().map((file) => gzipSync(readFileSync(path.join(dist, file))).length)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  expect(total).toBeLessThanOrEqual(250 * 1000)
  // It would be much less if the files were looked for in vain.
  expect(total).toBeGreaterThan(50 * 1000)
})
