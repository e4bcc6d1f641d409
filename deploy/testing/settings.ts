import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export const apps = ['control-plane', 'gateway', 'router', 'gpu-node'] as const
export type App = (typeof apps)[number]

/** Read by Node.js, the C library, OpenTelemetry or the AWS SDK rather than by us. */
const foreign = /^(NODE_|MALLOC_|OTEL_|AWS_)/

/** The names of the settings that the source of an app reads, those of every service included. */
const settingsOf = async (app: App): Promise<Set<string>> => {
  const files = [`apps/${app}/src/config.ts`, 'packages/service/src/run.ts']
  const texts = await Promise.all(files.map((file) => readFile(path.join(root, file), 'utf8')))
  return new Set(texts.flatMap((text) => [...text.matchAll(/^ +([A-Z][A-Z0-9_]+): /gm)].map(first)))
}

const first = (match: RegExpMatchArray): string => match[1] ?? ''

/** Those of the names that the app would not heed, a misspelt one for example. */
export const unknownSettings = async (app: App, names: Iterable<string>): Promise<string[]> => {
  const known = await settingsOf(app)
  return [...names].filter((name) => !known.has(name) && !foreign.test(name))
}

/** The app that a command line starts. */
export const appOf = (command: readonly string[]): App => {
  const main = command.join(' ')
  const app = apps.find((candidate) => main.includes(`apps/${candidate}/src/main.ts`))
  if (app === undefined) throw new Error(`${main} starts none of ${apps.join(', ')}`)
  return app
}
