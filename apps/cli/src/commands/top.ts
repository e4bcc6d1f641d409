import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import {
  type ControlOptions,
  example,
  openControlPlane,
  withConnection,
  withJson,
} from '../connection.ts'
import type { ControlPlane } from '../control-plane/connect.ts'
import { openSubscriptions, type Subscriptions } from '../control-plane/subscribe.ts'
import {
  BusyAdaptersDocument,
  ClusterStateDocument,
  DecisionsDocument,
} from '../generated/graphql.ts'
import { type Io, perform } from '../terminal/io.ts'
import { type Decision, drawTop, type TopState, toBusyAdapters } from '../top/draw-top.ts'

type TopOptions = ControlOptions & { pool?: string; once?: boolean }

/** `punica top`: the cluster as it works. */
export const addTopCommand = (program: Command): void => {
  withJson(withConnection(program.command('top')))
    .description(
      'GPUs, queue, adapters and decisions as they change; q ends it. With --json a line each time',
    )
    .option('--pool <pool>', 'of one pool')
    .option('--once', 'one picture; so it is, too, where the output is no terminal')
    .addHelpText('after', example('punica top --once'))
    .action(top)
}

const adaptersMs = 2_000
const dayMs = 24 * 3600_000
const maxDecisions = 50

const top = (options: TopOptions): Promise<void> =>
  perform(options, async (io) => {
    const controlPlane = await openControlPlane(options, io)
    const isOnce = options.once === true || (!io.stdout.isTTY && !io.isJson)
    const ended = new AbortController()
    const signal = AbortSignal.any([io.signal, ended.signal])
    const pool = options.pool ?? null
    const state: Partial<TopState> & { decisions: Decision[]; isLive: boolean } = {
      decisions: [],
      isLive: true,
    }
    const view = openView(controlPlane, state, isOnce, io)
    const { url, authorization } = controlPlane
    const subscriptions = openSubscriptions({
      url,
      authorization,
      signal,
      maxRetries: isOnce ? 0 : Number.POSITIVE_INFINITY,
      onChange: (isLive) => {
        state.isLive = isLive
        if (!signal.aborted) view.draw()
      },
    })
    const closeKeys = onKey('q', io, () => ended.abort())
    state.adapters = await readAdapters(controlPlane, pool)
    const background = [
      followDecisions(subscriptions, pool, state),
      followAdapters(controlPlane, pool, state, signal),
    ]
    for (const work of background) work.catch(() => {})
    try {
      for await (const { clusterState } of subscriptions.subscribe(ClusterStateDocument, {
        pool,
      })) {
        state.cluster = clusterState
        view.draw()
        if (isOnce) break
      }
    } finally {
      ended.abort()
      closeKeys()
      view.close()
      subscriptions.close()
    }
  })

const followDecisions = async (
  subscriptions: Subscriptions,
  pool: string | null,
  state: { decisions: Decision[] },
): Promise<void> => {
  for await (const { decisions } of subscriptions.subscribe(DecisionsDocument, { pool })) {
    state.decisions = [...decisions.decisions.toReversed(), ...state.decisions].slice(
      0,
      maxDecisions,
    )
  }
}

const readAdapters = async ({ ask }: ControlPlane, pool: string | null) => {
  const now = Date.now()
  const from = new Date(now - dayMs).toISOString()
  const filter = { from, to: new Date(now).toISOString() }
  return toBusyAdapters(await ask(BusyAdaptersDocument, { filter, pool }))
}

/** What is asked for now and then stays as it was where an answer fails; the head says so. */
const followAdapters = async (
  controlPlane: ControlPlane,
  pool: string | null,
  state: Partial<TopState>,
  signal: AbortSignal,
): Promise<void> => {
  for (;;) {
    await sleep(adaptersMs, undefined, { signal })
    state.adapters = await readAdapters(controlPlane, pool).catch(() => state.adapters ?? [])
  }
}

type View = { draw(): void; close(): void }

/** The alternate screen of a terminal, one picture, or a line of JSON for each. */
const openView = (
  { url }: ControlPlane,
  state: Partial<TopState> & { decisions: Decision[]; isLive: boolean },
  isOnce: boolean,
  io: Io,
): View => {
  const { stdout } = io
  const isScreen = stdout.isTTY && !isOnce && !io.isJson
  const draw = (): void => {
    const { cluster, adapters = [], decisions, isLive } = state
    if (cluster === undefined) return
    if (io.isJson) {
      io.line(JSON.stringify({ ...cluster, adapters, decisions, live: isLive }))
      return
    }
    // A terminal that does not know its size says 0.
    const columns = stdout.columns || 120
    const rows = stdout.rows || 60
    const lines = drawTop(
      { url, cluster, adapters, decisions, isLive },
      { columns, rows, paint: io.paint },
    )
    if (!isScreen) io.line(lines.join('\n').trimEnd())
    else stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\n')}\u001b[J`)
  }
  if (isScreen) {
    stdout.write('\u001b[?1049h\u001b[?25l')
    stdout.on('resize', draw)
  }
  return {
    draw,
    close: () => {
      if (!isScreen) return
      stdout.off('resize', draw)
      stdout.write('\u001b[?25h\u001b[?1049l')
    },
  }
}

/** Calls `then` when the key is pressed; Ctrl-C stays what it is. */
const onKey = (key: string, { stdout, isJson }: Io, then: () => void): (() => void) => {
  const { stdin } = process
  if (!stdin.isTTY || !stdout.isTTY || isJson) return () => {}
  const read = (pressed: Buffer): void => {
    if (pressed.toString() === key) then()
    if (pressed.toString() === '\u0003') process.kill(process.pid, 'SIGINT')
  }
  stdin.setRawMode(true).on('data', read)
  return () => {
    stdin.setRawMode(false).off('data', read).unref()
  }
}
