// Builds the C++ tests in the folder that build.mjs has made, and runs them.
import { spawnSync } from 'node:child_process'
import os from 'node:os'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../build', import.meta.url))
const jobs = String(os.availableParallelism())

const run = (command, args) => {
  const { status } = spawnSync(command, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}

run('cmake', ['--build', folder, '--target', 'checks', '--parallel', jobs])
run('ctest', ['--test-dir', folder, '--output-on-failure', '--parallel', jobs])
