import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { adapterNames } from './support/system.ts'

const main = fileURLToPath(new URL('../apps/cli/src/main.ts', import.meta.url))

test('the demo runs by itself to its table and ends well', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', main, 'demo'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [code] = await once(child, 'close')
  expect(code, output).toBe(0)
  // Not a terminal, so plain: no control sequences.
  expect(output).not.toContain('\u001b')
  for (const name of adapterNames)
    expect(output).toMatch(new RegExp(`^${name} +(acme|globex)`, 'm'))
  expect(output).toMatch(/in one batch +6 different adapters/)
  expect(output).toMatch(/placement +node-1: \d+, node-2: \d+/)
  expect(output).toMatch(/speed +\d+ tokens\/s/)
  expect(output).toMatch(/first token +after \d+ ms/)
}, 180_000)
