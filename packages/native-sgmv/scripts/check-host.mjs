// Says whether this host can serve: opens the GPU, runs the demo model with all its adapters in one
// batch, and compares each answer with the same request's alone. The first argument is the folder of
// the models; "cpu" as the second checks without a GPU.
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { createEngine } from '../lib/index.ts'

const [models = '', backend = 'cuda'] = process.argv.slice(2)
const maxNewTokens = 48
const prompt = [1, ...Array.from({ length: 24 }, (_, i) => 40 + 7 * i)]

const engine = await createEngine({
  modelFolder: path.join(models, 'base'),
  backend,
  poolBytes: 256 * 1024 ** 2,
}).catch((err) => {
  console.error(`This host cannot serve: ${err.message}`)
  process.exit(1)
})
console.log(engine.description)

const open = new Map()
engine.onStep(({ tokenRequests, tokens, ends, error }) => {
  if (error !== null) console.error(error)
  tokenRequests.forEach((id, i) => {
    open.get(id).tokens.push(tokens[i])
  })
  for (const { request } of ends) open.get(request).resolve(open.get(request).tokens)
})

let nextId = 1
const generate = (adapter) =>
  new Promise((resolve) => {
    const id = nextId++
    open.set(id, { tokens: [], resolve })
    engine.submit({ id, adapter, tokens: prompt, maxNewTokens, ignoreEos: true })
  })

const names = readdirSync(path.join(models, 'adapters')).sort()
const adapters = [0]
for (const name of names) {
  adapters.push(await engine.loadAdapter(path.join(models, 'adapters', name)))
}
const alone = []
for (const adapter of adapters) alone.push(await generate(adapter))
const together = await Promise.all(adapters.map(generate))
await engine.close()

const differing = adapters.filter((_, i) => String(together[i]) !== String(alone[i])).length
const distinct = new Set(alone.map(String)).size
console.log(
  `${adapters.length} requests, one for the base model and each adapter: ${distinct} distinct answers, ${differing} other than alone`,
)
process.exitCode = differing === 0 && distinct > 1 ? 0 : 1
