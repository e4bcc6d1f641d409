import type { ChaosReport } from './chaos.ts'

/** The report as a table in Markdown. */
export const toTable = (report: ChaosReport): string => {
  const { decisions, kills, takeoverMs, usage, violations } = report
  const rows: [string, string | number][] = [
    ['seed', report.seed],
    ['duration', `${report.durationS.toFixed(0)} s`],
    ['streams, each equal to its undisturbed run unless listed below', report.streams],
    ['tokens compared one by one', report.tokens],
    ['streams that ran on more than one node', report.movedStreams],
    ['moves by order (evicted, then placed again)', report.moves],
    ['evictions for want of KV pages', report.pressureEvictions],
    ['drains of a node', report.drains],
    ['placements of requests that had begun', decisions.move ?? 0],
    ['requests taken back from lost nodes', decisions.interrupt ?? 0],
    ['processes ended by SIGKILL', report.numKilled],
    ...Object.entries(kills).map(([victim, n]): [string, number] => [
      `of these acts: ${victim}`,
      n,
    ]),
    ['take-over: end of the leader to the next one, p50 / max', spread(takeoverMs, 'announced')],
    [
      'take-over: end of the leader to the first placement, p50 / max',
      spread(takeoverMs, 'placed'),
    ],
    ['changes of leader without such a cause', report.needlessLeaderChanges],
    ...usage.map(({ tenant, told, billed }): [string, string] => [
      `usage of ${tenant}, told / billed: requests, prompt, generated`,
      `${toText(told)} / ${billed === null ? 'nothing' : toText(billed)}`,
    ]),
    ['violations', violations.length],
  ]
  return ['| | |', '| --- | --- |', ...rows.map(([what, value]) => `| ${what} | ${value} |`)].join(
    '\n',
  )
}

type Usage = ChaosReport['usage'][number]['told']

const toText = ({ requests, promptTokens, generatedTokens }: Usage): string =>
  [requests, promptTokens, generatedTokens].join(', ')

const spread = (times: ChaosReport['takeoverMs'], of: 'announced' | 'placed'): string => {
  const sorted = times.map((time) => time[of]).sort((a, b) => a - b)
  const middle = sorted[Math.floor(sorted.length / 2)]
  const last = sorted.at(-1)
  if (middle === undefined || last === undefined) return 'none'
  return `${(middle / 1_000).toFixed(2)} s / ${(last / 1_000).toFixed(2)} s (${sorted.length})`
}
