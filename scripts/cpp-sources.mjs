import { execFileSync } from 'node:child_process'

/** Paths of the C++ and CUDA sources that git knows or would add. */
export const cppSources = () =>
  execFileSync('git', [
    'ls-files',
    '--cached',
    '--others',
    '--exclude-standard',
    '--',
    '*.cc',
    '*.h',
    '*.cu',
    '*.cuh',
  ])
    .toString()
    .split('\n')
    .filter((path) => path !== '')
