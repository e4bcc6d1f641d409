import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const missingPackage = 3

export type PeftJob = {
  base: string
  adapters: readonly { name: string; folder: string }[]
  requests: readonly { adapter: string; tokens: readonly number[] }[]
  maxNewTokens: number
  threads: number
}

export type Run = { seconds: number; tokens: number[][] }

export type Peft = { run(): Promise<Run>; close(): void }

/** Transformers with PEFT, loaded and warm; a string says why there is none. */
export const openPeft = async (python: string, job: PeftJob): Promise<Peft | string> => {
  const script = fileURLToPath(new URL('peft_mixed.py', import.meta.url))
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  // A child that could not start, or has ended, breaks the pipe; `ended` tells what happened.
  child.stdin.on('error', () => {})
  const ended = new Promise<number | string>((resolve) => {
    child.once('error', (err) => resolve(err.message))
    child.once('close', (code) => resolve(code ?? 'killed'))
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  child.stdin.write(`${JSON.stringify(job)}\n`)
  const { value: greeting } = await lines.next()
  if (greeting !== 'ready') {
    const how = await ended
    if (how === missingPackage) return `${python} has no package ${errors.trim()}`
    if (typeof how === 'string') return `${python} cannot be run (${how})`
    throw new Error(`peft_mixed.py failed:\n${errors}`)
  }
  return {
    run: async () => {
      child.stdin.write('\n')
      const { value, done } = await lines.next()
      if (done) throw new Error(`peft_mixed.py failed:\n${errors}`)
      return JSON.parse(value)
    },
    close: () => child.stdin.end(),
  }
}
