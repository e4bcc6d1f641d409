// Writes docs/cli.md from the help of the program.
import { writeFileSync } from 'node:fs'
import { toManual } from '../src/manual.ts'
import { createProgram } from '../src/program.ts'

writeFileSync(new URL('../../../docs/cli.md', import.meta.url), toManual(createProgram()))
