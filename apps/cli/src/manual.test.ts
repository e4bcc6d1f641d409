import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { toManual } from './manual.ts'
import { createProgram } from './program.ts'

test('docs/cli.md says what the program says (npm run manual -w apps/cli)', async () => {
  const page = await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8')
  expect(page).toBe(toManual(createProgram()))
})

test('every command has an example', () => {
  const commands = toManual(createProgram()).split('\n### ').slice(2)
  expect(commands.length).toBeGreaterThan(20)
  for (const command of commands) expect(command).toMatch(/\nExample:\n {2}\$ /)
})
