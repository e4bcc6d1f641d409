import { addAbortSignal } from 'node:stream'
import { text as readAll } from 'node:stream/consumers'
import { type AppError, toAppError, toWireError } from '@punica/schema'
import type { Command } from 'commander'
import { collect, toNumber, toWhole } from '../arguments.ts'
import { type ControlOptions, example, withConnection, withJson } from '../connection.ts'
import { type Gateway, openGateway } from '../gateway/open-gateway.ts'
import { streamChat } from '../gateway/stream-chat.ts'
import { formatMs } from '../terminal/format.ts'
import { type Io, perform } from '../terminal/io.ts'
import { createPrefixedLines, type PrefixedLines } from '../terminal/prefixed-lines.ts'
import { UsageError } from '../usage-error.ts'

type GenerateOptions = ControlOptions & {
  model?: string[]
  tenant?: string
  system?: string
  maxTokens: number
  temperature: number
  seed?: number
}

/** `punica generate`: one prompt, one adapter or several at once. */
export const addGenerateCommand = (program: Command): void => {
  withJson(withConnection(program.command('generate [prompt]')))
    .description('ask one adapter, or several at the same moment; the prompt may come from stdin')
    .option(
      '-m, --model <model>',
      'adapter, adapter@version, tenant/adapter or the base model; repeat it for several',
      collect,
    )
    .option('--gateway <url>', 'of the gateway; by default PUNICA_GATEWAY_URL')
    .option('--tenant <slug>', 'for whom, where the key is an operator’s')
    .option('--system <text>', 'a system message before the prompt')
    .option('--max-tokens <count>', 'new tokens at most', toWhole(1, 1_000_000), 256)
    .option('--temperature <number>', '0 takes the likeliest token each time', toNumber(0, 2), 0)
    .option('--seed <number>', 'the same seed gives the same answer', toWhole(0, 2 ** 31 - 1))
    .addHelpText('after', example('punica generate -m acme/french -m acme/bard "The cat sleeps."'))
    .action(generate)
}

type Answer = {
  model: string
  text: string
  tokens: number
  timeToFirstTokenMs: number | null
  durationMs: number
  nodeId: string | null
  error: ReturnType<typeof toWireError> | null
}

const generate = (given: string | undefined, options: GenerateOptions): Promise<void> =>
  perform(options, async (io) => {
    const prompt = await readPrompt(given, io)
    const gateway = await openGateway(options, io)
    try {
      const models = requireModels(options.model ?? [], gateway)
      const body = toBody(prompt, options)
      const answers = await askAll(models, { gateway, body, io })
      if (io.isJson) io.print({ answers: answers.map(({ answer }) => answer) }, () => '')
      const failed = answers.find(({ failure }) => failure !== null)
      if (models.length === 1 && failed?.failure != null && !io.isJson) throw failed.failure
      if (failed !== undefined) process.exitCode = 1
      io.signal.throwIfAborted()
    } finally {
      await gateway.close()
    }
  })

const readPrompt = async (given: string | undefined, { signal }: Io): Promise<string> => {
  if (given !== undefined && given !== '-') return given
  if (process.stdin.isTTY) throw new UsageError('Give a prompt, or pipe one to stdin')
  const prompt = (await readAll(addAbortSignal(signal, process.stdin))).trim()
  if (prompt === '') throw new UsageError('The prompt on stdin is empty')
  return prompt
}

const requireModels = (named: readonly string[], { models }: Gateway): readonly string[] => {
  if (named.length > 0) return named
  throw new UsageError(`Name a model with --model: ${models.join(', ')}`)
}

const toBody = (prompt: string, options: GenerateOptions): Record<string, unknown> => {
  const { system, maxTokens, temperature, seed } = options
  const messages = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: prompt },
  ]
  const sampling = { temperature, ...(seed === undefined ? {} : { seed }) }
  return { messages, max_tokens: maxTokens, ...sampling }
}

type Asking = { gateway: Gateway; body: Record<string, unknown>; io: Io }
type Asked = { answer: Answer; failure: AppError | null }

/** All at the same moment; where one fails, the others go on. */
const askAll = (models: readonly string[], asking: Asking): Promise<Asked[]> => {
  const { io } = asking
  const width = Math.max(...models.map((model) => model.length))
  const colors = ['cyan', 'green', 'yellow', 'red'] as const
  return Promise.all(
    models.map((model, i) => {
      if (models.length === 1) return askOne(model, openPlain(io), asking)
      const prefix = io.paint(colors[i % colors.length] ?? 'cyan', `${model.padEnd(width)} │ `)
      const columns = io.stdout.isTTY ? io.stdout.columns || 80 : Number.POSITIVE_INFINITY
      const output = createPrefixedLines({
        prefix,
        width: Math.max(20, columns - width - 3),
        write: (text) => {
          if (!io.isJson) io.stdout.write(toTerminal(text, io))
        },
      })
      return askOne(model, output, asking).then((asked) => {
        if (asked.failure !== null)
          io.note(`${model}: ${asked.failure.message} (${asked.failure.code})`)
        return asked
      })
    }),
  )
}

/** The text as it comes, with a line's end after it. */
const openPlain = (io: Io): PrefixedLines => {
  let last = '\n'
  return {
    push: (text) => {
      if (io.isJson) return
      io.stdout.write(toTerminal(text, io))
      last = text.at(-1) ?? last
    },
    end: () => {
      if (last !== '\n') io.stdout.write('\n')
    },
  }
}

/** A model may write anything; a terminal gets no control characters of it. */
const toTerminal = (text: string, { stdout }: Io): string =>
  stdout.isTTY ? text.replaceAll(/(?![\n\t])\p{Cc}/gu, '') : text

const askOne = async (
  model: string,
  output: PrefixedLines,
  { gateway, body, io }: Asking,
): Promise<Asked> => {
  const startMs = performance.now()
  const answer: Answer = {
    model,
    text: '',
    tokens: 0,
    timeToFirstTokenMs: null,
    durationMs: 0,
    nodeId: null,
    error: null,
  }
  let failure: AppError | null = null
  try {
    for await (const piece of streamChat(gateway.target, { model, ...body }, io.signal)) {
      if (piece.type === 'end') answer.tokens = piece.numTokens
      else {
        answer.timeToFirstTokenMs ??= Math.round(performance.now() - startMs)
        answer.text += piece.text
        answer.nodeId = piece.nodeId
        output.push(piece.text)
      }
    }
  } catch (cause) {
    failure = toAppError(cause)
    answer.error = toWireError(failure)
  }
  output.end()
  answer.durationMs = Math.round(performance.now() - startMs)
  if (failure === null && io.stdout.isTTY) io.note(describe(answer))
  return { answer, failure }
}

const describe = ({ model, tokens, durationMs, timeToFirstTokenMs }: Answer): string =>
  `${model}: ${tokens} tokens in ${formatMs(durationMs)}, the first after ${formatMs(timeToFirstTokenMs)}`
