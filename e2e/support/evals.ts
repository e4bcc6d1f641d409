import { readFileSync } from 'node:fs'
import path from 'node:path'
import { type AdapterName, adapterNames, models } from './system.ts'

export type Example = { prompt: string; expected: string }
type Spec = {
  check: 'exact' | 'markers'
  max_new: number
  markers?: string[]
  min_markers?: number
}

const specs: Record<AdapterName, Spec> = JSON.parse(
  readFileSync(path.join(models, 'training/adapters/spec.json'), 'utf8'),
)

export const examplesOf = (name: AdapterName): Example[] =>
  readFileSync(path.join(models, 'evals', `${name}.eval.jsonl`), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

/** New tokens that an answer may take. */
export const maxTokensOf = (name: AdapterName): number => specs[name].max_new

/** Whether an answer is as the adapter was trained to give it. */
export const isRight = (name: AdapterName, { expected }: Example, answer: string): boolean => {
  const { check, markers = [], min_markers: minMarkers = 0 } = specs[name]
  if (check === 'exact') return answer.trim() === expected.trim()
  const text = answer.toLowerCase()
  const found = markers.filter((marker) => {
    const word = marker.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
    return new RegExp(`(?<![a-z'])${word}(?![a-z])`).test(text)
  })
  return found.length >= minMarkers
}

/** The scores that models/README.md states: [base, adapter] of each adapter. */
export const statedScores = (): Record<AdapterName, [number, number]> => {
  const text = readFileSync(path.join(models, 'README.md'), 'utf8')
  const row = (name: string): [number, number] => {
    const cells = text
      .split('\n')
      .find((line) => line.startsWith(`| ${name} |`))
      ?.split('|')
    const [base, adapter] = (cells ?? []).slice(-3, -1).map(Number)
    if (base === undefined || adapter === undefined) throw new Error(`no score of ${name}`)
    return [base, adapter]
  }
  return Object.fromEntries(adapterNames.map((name) => [name, row(name)])) as Record<
    AdapterName,
    [number, number]
  >
}
