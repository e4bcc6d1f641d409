// The invariants of ARCHITECTURE.md that can be read off the sources: who may import whom, how long
// a file may be, and what no file may contain.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Workspace -> the workspaces it may import. What is not listed may import nothing of ours. */
const layers = {
  'packages/schema': [],
  'packages/native-sgmv': [],
  'packages/scheduler': ['schema'],
  'packages/tokenizer': ['schema'],
  'packages/grammar': ['schema'],
  'packages/adapter': ['schema'],
  'packages/bus': ['schema'],
  'packages/object-store': ['schema', 'bus'],
  'packages/service': ['schema'],
  'packages/client': ['schema', 'bus'],
  'packages/embedded': [],
  'apps/control-plane': [
    'schema',
    'adapter',
    'bus',
    'client',
    'embedded',
    'object-store',
    'service',
  ],
  'apps/gateway': ['schema', 'tokenizer', 'grammar', 'bus', 'service'],
  'apps/router': ['schema', 'scheduler', 'bus', 'service'],
  'apps/gpu-node': ['schema', 'bus', 'object-store', 'native-sgmv', 'service'],
  'apps/console': [],
  'apps/cli': ['schema', 'bus', 'client', 'embedded'],
  deploy: ['schema', 'bus', 'cli', 'embedded'],
  e2e: ['schema', 'adapter', 'bus', 'client', 'cli', 'object-store', 'tokenizer'],
  bench: ['schema', 'bus', 'cli', 'embedded', 'native-sgmv', 'scheduler', 'tokenizer'],
}

/** What may stand in some places only: [pattern, whether a path may have it, why]. */
const exclusive = [
  [
    /from '(pg|@prisma\/[a-z-]+)'/,
    (path) => /^(apps\/control-plane|apps\/cli\/src\/launch|prisma)\//.test(path),
    'only control-plane knows Postgres (the launcher creates its database)',
  ],
  [
    /#include [<"]napi\.h[>"]/,
    (path) => path.startsWith('packages/native-sgmv/src/addon/'),
    'only src/addon knows Node',
  ],
  [
    /\b(Date\.now|performance\.now|setTimeout|setInterval)\b|from 'node:/,
    (path) => !path.startsWith('packages/scheduler/src/') || path.endsWith('.test.ts'),
    'the scheduler does no I/O and never reads a clock',
  ],
  [
    /\bprocess\.(env|exit|exitCode|on|once)\b/,
    (path) =>
      /^(packages\/service|scripts|prisma|apps\/cli|e2e|bench)\//.test(path) ||
      /\/(scripts|testing)\/|\.(config|test)\.ts$/.test(path),
    'only packages/service reads the environment, handles signals and sets exit codes (and the cli, which is no service)',
  ],
]

const maxLines = 300

const sources = () =>
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'])
    .toString()
    .split('\n')
    .filter((path) => /\.(ts|tsx|mjs|cc|h|cu|cuh)$/.test(path) && !path.startsWith('models/'))

const workspaceOf = (path) => /^((?:apps|packages)\/[^/]+|deploy|e2e|bench)\//.exec(path)?.[1]

/** Our own packages that a source imports, by name without the scope. */
const ownImports = (text) =>
  [...text.matchAll(/(?:from|import)\s*\(?\s*'@punica\/([a-z-]+)/g)].map((match) => match[1])

const problemsOf = (path) => {
  const text = readFileSync(path, 'utf8')
  const workspace = workspaceOf(path)
  const allowed =
    workspace === undefined ? [] : [...(layers[workspace] ?? []), workspace.split('/').at(-1)]
  const numLines = text.split('\n').length - 1
  return [
    ...ownImports(text)
      .filter((name) => !allowed.includes(name))
      .map((name) => `${path}: ${workspace} may not import @punica/${name}`),
    ...exclusive
      .filter(([pattern, mayHave]) => pattern.test(text) && !mayHave(path))
      .map(([, , why]) => `${path}: ${why}`),
    ...(numLines > maxLines && !/test\.(ts|tsx)$|_test\.(cc|cu)$/.test(path)
      ? [`${path}: ${numLines} lines; a file fits a sitting (${maxLines})`]
      : []),
  ]
}

/** Error codes without a paragraph in docs/failures.md, and paragraphs without a code. */
const failuresProblems = () => {
  const table = readFileSync('packages/schema/src/errors.ts', 'utf8')
  const codes = [...table.matchAll(/^ {2}(\w+): \{\s*httpStatus/gm)].map((match) => match[1])
  const text = readFileSync('docs/failures.md', 'utf8')
  const documented = [...text.matchAll(/^## (\w+)$/gm)].map((match) => match[1])
  return [
    ...codes
      .filter((code) => !documented.includes(code))
      .map((code) => `docs/failures.md: no paragraph on error code ${code}`),
    ...documented
      .filter((code) => !codes.includes(code))
      .map((code) => `docs/failures.md: ${code} is no error code`),
  ]
}

/** Prints every breach; true when there is none. */
export const boundaries = () => {
  const problems = [...sources().flatMap(problemsOf), ...failuresProblems()]
  for (const problem of problems) console.error(problem)
  return problems.length === 0
}
