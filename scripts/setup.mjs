// Makes sure that this machine has what npm cannot bring: a C++ compiler, CMake, nats-server and,
// for `npm run check`, clang-format; for `npm test` and `npm run screenshots`, Chromium. As root on Debian or Ubuntu it installs what is missing;
// elsewhere it says in one line what to install. Does nothing, quickly, where all is there.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const has = (command) =>
  spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' }).status === 0

/** [what it is, whether it is there, its Debian package, whether nothing works without it] */
const needs = [
  ['a C++ compiler', has('c++') || has('g++') || has('clang++'), 'g++', true],
  ['make', has('make') || has('ninja'), 'make', true],
  ['CMake', has('cmake'), 'cmake', true],
  [
    'nats-server',
    process.env.NATS_URL !== undefined ||
      process.env.NATS_SERVER_BIN !== undefined ||
      has('nats-server') ||
      existsSync('/usr/sbin/nats-server'),
    'nats-server',
    false,
  ],
  ['Chromium', has('chromium') || !process.argv.includes('--browser'), 'chromium', false],
  ['clang-format', has('clang-format') || !process.argv.includes('--check'), 'clang-format', false],
]

const missing = needs.filter(([, there]) => !there)
if (missing.length > 0) {
  const packages = missing.map(([, , name]) => name)
  const names = missing.map(([name]) => name).join(', ')
  const apt = has('apt-get')
  if (apt && process.getuid?.() === 0) {
    console.log(`Installing ${packages.join(' ')} (apt-get)`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const quiet = { stdio: ['ignore', 'ignore', 'inherit'], env }
    spawnSync('apt-get', ['update', '-qq'], quiet)
    const { status } = spawnSync(
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', ...packages],
      quiet,
    )
    if (status !== 0) {
      console.error(`apt-get could not install ${packages.join(' ')}; install them by hand`)
      process.exitCode = 1
    }
  } else if (missing.some(([, , , required]) => required)) {
    const how = apt ? `sudo apt-get install ${packages.join(' ')}` : 'with your package manager'
    console.error(`Missing: ${names}. Install: ${how}`)
    process.exitCode = 1
  }
}
