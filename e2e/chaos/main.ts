import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { runChaos } from './chaos.ts'
import { toTable } from './table.ts'

// npm run chaos -- --seed 1 --moves 10000 --kills 100 [--streams 16] [--json report.json]
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    moves: { type: 'string', default: '10000' },
    kills: { type: 'string', default: '100' },
    streams: { type: 'string', default: '16' },
    json: { type: 'string' },
  },
})

const toCount = (name: 'seed' | 'moves' | 'kills' | 'streams'): number => {
  const count = Number(values[name])
  if (!Number.isSafeInteger(count) || count < 0)
    throw new Error(`--${name}: must be a whole number`)
  return count
}

const startMs = performance.now()
const say = (text: string): void => {
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0).padStart(5)
  console.log(`${seconds} s  ${text}`)
}

const report = await runChaos({
  seed: toCount('seed'),
  numMoves: toCount('moves'),
  numKills: toCount('kills'),
  concurrency: Math.max(1, toCount('streams')),
  onProgress: say,
})
console.log(`\n${toTable(report)}`)
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
for (const violation of report.violations.slice(0, 50)) console.error(`VIOLATION ${violation}`)
process.exitCode = report.violations.length === 0 ? 0 : 1
