// Makes dist/punica-gpu.tar.xz: what a GPU host needs to run gpu-node, the benches and the tests of
// the CUDA backend, where there is nothing but the driver and the CUDA libraries. Unpacked anywhere,
// it needs no network. packages/native-sgmv/README.md says how it is used.
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const native = path.join(root, 'packages/native-sgmv')
const built = path.join(native, 'build')
const dist = path.join(root, 'dist')
const bundle = path.join(dist, 'punica-gpu')
const archive = path.join(dist, 'punica-gpu.tar.xz')
const maxBytes = 60e6

const benches = ['sgmv', 'decode', 'prefill', 'load', 'textgen']
const tests = [
  'cuda_sgmv_test',
  'cuda_backend_test',
  'cuda_attention_test',
  'cuda_sampling_test',
  'cuda_delta_test',
  'cuda_bits_test',
  'cuda_golden_test',
  'engine_invariance_test',
  'model_soak_test',
]
const programs = [...benches.map((name) => `bench_${name}`), ...tests]

const fail = (message) => {
  console.error(message)
  process.exit(1)
}

const run = (command, args, options = {}) =>
  execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options })

const into = (...parts) => path.join(bundle, ...parts)

const copyNative = () => {
  const plugin = path.join(built, 'Release/libpunica_cuda.so')
  if (!existsSync(plugin)) {
    fail(
      'There is no CUDA backend to bundle: `npm run build` makes it where nvcc is found, with cublasLt.h in its toolkit or in $CUBLAS_DIR/include.',
    )
  }
  const jobs = String(os.availableParallelism())
  run('cmake', ['--build', built, '--parallel', jobs, '--target', ...programs], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  // As in a checkout: the app looks for the addon here, and each program for the plug-in beside it.
  for (const name of ['native_sgmv.node', 'libpunica_cuda.so', ...programs]) {
    cpSync(path.join(built, 'Release', name), into('build/Release', name))
    run('strip', [into('build/Release', name)])
  }
}

/** One file of all that gpu-node imports; modules that call require() find one. */
const bundleApps = () =>
  build({
    entryPoints: {
      'gpu-node': path.join(root, 'apps/gpu-node/src/main.ts'),
      'check-host': path.join(native, 'scripts/check-host.mjs'),
    },
    outdir: into('app'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    },
    logLevel: 'warning',
  })

const copyNode = () => {
  cpSync(process.execPath, into('bin/node'))
  run('strip', [into('bin/node')])
}

/** Commands that work from any folder. */
const scripts = {
  'gpu-node': 'exec "$root/bin/node" "$root/app/gpu-node.mjs" "$@"',
  'check-host': 'exec "$root/bin/node" "$root/app/check-host.mjs" "$root/models" "$@"',
  // sgmv has its shapes built in.
  bench: `name=$1; shift
[ "$name" = sgmv ] && exec "$root/build/Release/bench_sgmv" "$@"
shape=$1; shift
exec "$root/build/Release/bench_$name" "$root/shapes/$shape" "$@"`,
  // The tests read the models and the golden files by paths from their package's folder.
  test: `cd "$root/packages/native-sgmv"
for name in ${tests.slice(0, -2).join(' ')}; do echo "$name"; "$root/build/Release/$name"; done
echo engine_invariance_test; "$root/build/Release/engine_invariance_test" cuda
echo model_soak_test; "$root/build/Release/model_soak_test" cuda "\${1:-20000}"`,
}

const writeScripts = () => {
  for (const [name, body] of Object.entries(scripts)) {
    const text = `#!/bin/sh\nset -eu\nroot=$(cd "$(dirname "$0")/.." && pwd)\n${body}\n`
    writeFileSync(into('bin', name), text)
    chmodSync(into('bin', name), 0o755)
  }
}

const copyData = () => {
  for (const name of ['base', 'adapters', 'SOURCES.md']) {
    cpSync(path.join(root, 'models', name), into('models', name), { recursive: true })
  }
  cpSync(path.join(native, 'bench/shapes'), into('shapes'), { recursive: true })
  const golden = 'packages/native-sgmv/test/golden/data'
  cpSync(path.join(root, golden), into(golden), { recursive: true })
  cpSync(path.join(native, 'README.md'), into('README.md'))
  cpSync(path.join(root, 'LICENSE'), into('LICENSE'))
}

rmSync(bundle, { recursive: true, force: true })
mkdirSync(into('bin'), { recursive: true })
copyNative()
await bundleApps()
copyNode()
writeScripts()
copyData()
run('tar', ['-C', dist, '-cJf', archive, 'punica-gpu'], {
  env: { ...process.env, XZ_OPT: '-6 -T0' },
})
const { size } = statSync(archive)
if (size > maxBytes) fail(`${archive} is ${size} bytes; it may be ${maxBytes}.`)
console.log(`${path.relative(process.cwd(), archive)}: ${(size / 1e6).toFixed(1)} MB`)
