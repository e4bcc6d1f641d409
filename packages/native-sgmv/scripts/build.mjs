// Builds build/Release/native_sgmv.node with cmake-js: incremental, and silent unless it fails.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('..', import.meta.url))
const cmakeJs = path.join(
  path.dirname(createRequire(import.meta.url).resolve('cmake-js/package.json')),
  'bin/cmake-js',
)

/** CMake refuses a build folder that was made somewhere else, as a copied checkout has. */
const dropForeignBuild = () => {
  const buildFolder = path.join(folder, 'build')
  const cacheFile = path.join(buildFolder, 'CMakeCache.txt')
  if (!existsSync(cacheFile)) return
  const [, home = ''] =
    /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cacheFile, 'utf8')) ?? []
  if (path.relative(home, folder) !== '') rmSync(buildFolder, { recursive: true })
}

const runs = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0

const fail = (message) => {
  console.error(message)
  process.exit(1)
}

const compilers = [process.env.CXX, 'c++', 'g++', 'clang++'].filter((name) => name)
const missing = [
  runs('cmake') ? null : 'cmake',
  compilers.some(runs) ? null : 'g++',
  runs('ninja') || runs('make') ? null : 'make',
].filter((name) => name !== null)
if (missing.length > 0) {
  fail(
    `The native engine needs ${missing.join(', ')}: install with \`apt-get install cmake g++ make\`, or your system's equivalent, then run \`npm run build\` again.`,
  )
}

dropForeignBuild()
const build = spawnSync(process.execPath, [cmakeJs, 'build', '--directory', folder], {
  encoding: 'utf8',
  maxBuffer: 256 * 1024 ** 2,
  // make, unlike ninja, builds one file at a time unless it is told.
  env: { CMAKE_BUILD_PARALLEL_LEVEL: String(os.availableParallelism()), ...process.env },
})
if (build.status !== 0) {
  fail(
    `${build.stdout}${build.stderr}${build.error?.message ?? ''}\nThe native engine did not build.`,
  )
}

const nvcc = ['nvcc', '/usr/local/cuda/bin/nvcc'].some(runs)
if (nvcc && !existsSync(path.join(folder, 'build/Release/libpunica_cuda.so'))) {
  console.warn(
    'The CUDA backend was not built: nvcc is here, but cublasLt.h is neither in its toolkit nor in $CUBLAS_DIR/include.',
  )
}
