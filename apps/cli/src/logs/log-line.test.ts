import { expect, test } from 'vitest'
import { formatLine, isAtLeast, parseLine } from './log-line.ts'

test('a line of a service has its time, level, message and fields', () => {
  const raw =
    '{"level":40,"time":1795551123351,"pid":7,"hostname":"h","name":"router","nodeId":"n1","msg":"node lost"}'
  const line = parseLine('router-1', raw, 0)
  expect(line).toMatchObject({
    timeMs: 1795551123351,
    level: 'warn',
    message: 'node lost nodeId=n1',
  })
  expect(formatLine(line, 8)).toBe('2026-11-24 20:12:03Z  warn   router-1  node lost nodeId=n1')
})

test.each([
  ['[2041] 2026/11/24 20:11:56.074382 [ERR] Oh', 'error', '2026-11-24T20:11:56.074Z'],
  ['2026-11-24 20:11:56.904 UTC [20] LOG:  starting', 'info', '2026-11-24T20:11:56.904Z'],
  ['2026-11-24 20:11:56.904 UTC [20] FATAL:  no', 'fatal', '2026-11-24T20:11:56.904Z'],
] as const)('a line that is no JSON: %s', (raw, level, time) => {
  expect(parseLine('x', raw, 0)).toMatchObject({ level, timeMs: Date.parse(time), message: raw })
})

test('a line without a time has that of the line before it', () => {
  expect(parseLine('x', '    at run (main.ts:1)', 42)).toMatchObject({ timeMs: 42, level: 'info' })
  expect(parseLine('x', '{"half', 42).timeMs).toBe(42)
})

test('levels have an order', () => {
  expect(isAtLeast({ level: 'error' }, 'warn')).toBe(true)
  expect(isAtLeast({ level: 'info' }, 'warn')).toBe(false)
})
