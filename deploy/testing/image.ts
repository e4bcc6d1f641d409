import { execFileSync } from 'node:child_process'
import { cp, mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { type Dockerfile, DockerfileParser, type Instruction } from 'dockerfile-ast'
import { root } from './settings.ts'

// Builds what a container file describes as plain folders, with no Docker: each stage is a folder,
// COPY copies, and the installing commands run as they stand in the file.

export type Image = {
  /** The folder that stands for / in the last stage. */
  folder: string
  env: Record<string, string>
  workdir: string
  entrypoint: string[]
  command: string[]
}

/**
 * What a RUN does here: `run` it; `take` its results, which this checkout has made by the same
 * commands; or leave it out, where it concerns the system of the image.
 */
const plans: [pattern: RegExp, plan: 'run' | 'skip' | { take: string[] }][] = [
  [/npm(-cli\.js)? ci .*--omit=dev/, 'run'],
  [/^npm ci/, 'skip'],
  [/turbo run generate build/, { take: ['apps/control-plane/src/generated', 'apps/console/dist'] }],
  [/native-sgmv\/scripts\/build\.mjs/, { take: ['packages/native-sgmv/build/Release'] }],
  [/^(apt-get|install -d) /, 'skip'],
]

export const parse = async (file: string): Promise<Dockerfile> =>
  DockerfileParser.parse(await readFile(path.join(root, file), 'utf8'))

/** Every file that the build may copy: what git has or would add, less .dockerignore. */
export const listContext = async (): Promise<string[]> => {
  const git = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const files = execFileSync('git', git, { cwd: root, encoding: 'utf8' }).split('\0')
  const ignored = (await readFile(path.join(root, '.dockerignore'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(toPattern)
  return files.filter((file) => file !== '' && !ignored.some((pattern) => pattern.test(file)))
}

/** Of .dockerignore as far as ours goes: `**` in front, and `*` inside a name. */
const toPattern = (line: string): RegExp => {
  const name = line
    .replace(/^\*\*\//, '')
    .replace(/[.+]/g, '\\$&')
    .replaceAll('*', '[^/]*')
  return new RegExp(`${line.startsWith('**/') ? '(^|/)' : '^'}${name}(/|$)`)
}

export const argumentsOf = (instruction: { getArguments(): { getValue(): string }[] }): string[] =>
  instruction.getArguments().map((argument) => argument.getValue())

/** The stage that a COPY reads from; null: the context. */
export const fromOf = (copy: Instruction): string | null =>
  /--from=(\S+)/.exec(copy.getTextContent())?.[1] ?? null

/** Makes the image of a container file below a temporary folder. */
export const buildImage = async (file: string, folder: string): Promise<Image> => {
  const dockerfile = await parse(file)
  const image: Image = { folder: '', env: {}, workdir: '/', entrypoint: [], command: [] }
  const context = await listContext()
  const stages = new Map<string, string>()
  for (const instruction of dockerfile.getInstructions()) {
    const words = argumentsOf(instruction)
    switch (instruction.getKeyword()) {
      case 'FROM': {
        const name = words[2] ?? 'last'
        Object.assign(image, { folder: path.join(folder, name), env: {}, workdir: '/' })
        stages.set(name, image.folder)
        await mkdir(image.folder, { recursive: true })
        break
      }
      case 'ENV':
        for (const word of words) {
          const at = word.indexOf('=')
          image.env[word.slice(0, at)] = word.slice(at + 1)
        }
        break
      case 'WORKDIR':
        image.workdir = words[0] ?? '/'
        await mkdir(path.join(image.folder, image.workdir), { recursive: true })
        break
      case 'COPY':
        await copy(image, { words, from: toStage(stages, fromOf(instruction)), context })
        break
      case 'RUN':
        await run(image, instruction.getArgumentsContent() ?? '')
        break
      case 'ENTRYPOINT':
        image.entrypoint = JSON.parse(instruction.getArgumentsContent() ?? '[]')
        break
      case 'CMD':
        image.command = JSON.parse(instruction.getArgumentsContent() ?? '[]')
        break
    }
  }
  return image
}

/** undefined: a stage that is no more than an image of somebody else, of which nothing is copied here. */
const toStage = (stages: Map<string, string>, from: string | null): string | null | undefined => {
  if (from === null) return null
  const stage = stages.get(from)
  if (stage === undefined) throw new Error(`there is no stage ${from}`)
  return from === 'node' ? undefined : stage
}

type Source = { words: string[]; from: string | null | undefined; context: readonly string[] }

const copy = async (image: Image, { words, from, context }: Source): Promise<void> => {
  const [source = '', target = ''] = words
  const to = path.join(image.folder, path.resolve(image.workdir, target))
  if (from === undefined) return
  if (from !== null) {
    // As links: a stage's folder of packages is large, and nothing is changed after this.
    await mkdir(path.dirname(to), { recursive: true })
    execFileSync('cp', ['-al', path.join(from, source), to])
    return
  }
  const below = source === '.' ? '' : source
  const files = context.filter((name) => below === '' || name === below || isBelow(name, below))
  if (files.length === 0) throw new Error(`COPY ${source}: not in the context`)
  for (const name of files) {
    await cp(path.join(root, name), path.join(to, path.relative(below, name)))
  }
}

const isBelow = (name: string, folder: string): boolean => name.startsWith(`${folder}/`)

const run = async (image: Image, command: string): Promise<void> => {
  const plan = plans.find(([pattern]) => pattern.test(command))?.[1]
  if (plan === undefined) throw new Error(`RUN ${command}: this test knows no such command`)
  const workdir = path.join(image.folder, image.workdir)
  if (plan === 'skip') return
  if (plan === 'run') {
    const local = command.replace(/node \S*npm-cli\.js/, 'npm')
    execFileSync('sh', ['-c', local], { cwd: workdir, stdio: ['ignore', 'ignore', 'inherit'] })
    return
  }
  for (const name of plan.take) {
    await cp(path.join(root, name), path.join(workdir, name), { recursive: true })
  }
}
