import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

type Face = 'HTTP' | 'NATS'

/** An adapter of the demo model: whose it is here, and how that tenant calls it. */
export type DemoAdapter = {
  name: string
  tenant: string
  face: Face
  /** Its PEFT folder. */
  folder: string
  /** null: its short answers go on for as long as the long ones of others take. */
  numRequests: number | null
}

/** A question to an adapter; `expected` where there is one right answer. */
export type Job = {
  adapter: DemoAdapter
  prompt: string
  expected: string | null
  maxTokens: number
}

const models = fileURLToPath(new URL('../../../../models', import.meta.url))

const adapter = (
  name: string,
  tenant: string,
  face: Face,
  numRequests: number | null,
): DemoAdapter => ({ name, tenant, face, numRequests, folder: path.join(models, 'adapters', name) })

/** Two tenants, each on one face of the API. */
export const adapters: readonly DemoAdapter[] = [
  adapter('sql-helper', 'acme', 'HTTP', null),
  adapter('extract-json', 'acme', 'HTTP', null),
  adapter('sentiment', 'acme', 'HTTP', null),
  adapter('french', 'globex', 'NATS', null),
  adapter('pirate-tales', 'globex', 'NATS', 8),
  adapter('bard', 'globex', 'NATS', 8),
]

const Specs = z.record(
  z.string(),
  z.object({ check: z.enum(['exact', 'markers']), max_new: z.int().positive() }),
)
const Example = z.object({ prompt: z.string(), expected: z.string() })

/** Questions that the adapters were not trained on, from their evaluation sets. */
export const readJobs = async (): Promise<Job[]> => {
  const specs = Specs.parse(await readJson(path.join(models, 'training/adapters/spec.json')))
  const jobs = adapters.map(async (adapter): Promise<Job[]> => {
    const spec = specs[adapter.name]
    if (spec === undefined) throw new Error(`spec.json says nothing of ${adapter.name}`)
    const file = path.join(models, 'evals', `${adapter.name}.eval.jsonl`)
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    return lines.slice(0, adapter.numRequests ?? lines.length).map((line) => {
      const { prompt, expected } = Example.parse(JSON.parse(line))
      return {
        adapter,
        prompt,
        expected: spec.check === 'exact' ? expected : null,
        maxTokens: spec.max_new,
      }
    })
  })
  return (await Promise.all(jobs)).flat()
}

const readJson = async (file: string): Promise<unknown> => JSON.parse(await readFile(file, 'utf8'))
