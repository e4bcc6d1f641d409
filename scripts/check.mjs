// What a machine can check of the style and the architecture, all of it, in one table at the end.
// Every step runs even when an earlier one failed, so that one run shows everything.
import { spawnSync } from 'node:child_process'
import { boundaries } from './boundaries.mjs'
import { cppSources } from './cpp-sources.mjs'

const run = (command, args) => spawnSync(command, args, { stdio: 'inherit' }).status === 0

const clangFormat = () => {
  if (spawnSync('clang-format', ['--version']).error !== undefined) {
    console.error('clang-format is missing: install the package clang-format')
    return false
  }
  return run('clang-format', ['--dry-run', '--Werror', ...cppSources()])
}

const steps = [
  ['format and lint (biome)', () => run('npx', ['biome', 'check', '--error-on-warnings', '.'])],
  ['types (tsc)', () => run('npx', ['tsc', '-p', '.'])],
  ['unused files, exports, dependencies (knip)', () => run('npx', ['knip'])],
  ['layers, file lengths, document claims', boundaries],
  ['C++ and CUDA format (clang-format)', clangFormat],
]

const results = steps.map(([name, step]) => {
  console.log(`\n> ${name}`)
  return [name, step()]
})

console.log('')
for (const [name, ok] of results) console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}`)
process.exitCode = results.every(([, ok]) => ok) ? 0 : 1
