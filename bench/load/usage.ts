import { readdir, readFile } from 'node:fs/promises'
import type { Cluster } from '@punica/cli/cluster'

/** CPU time in seconds and resident memory in bytes of a process, so far. */
export type ProcessUse = { cpuSeconds: number; rssBytes: number }

/** What a service says of itself at /metrics. */
export const useOfService = async (cluster: Cluster, name: string): Promise<ProcessUse> => {
  const { statusPort } = cluster.service(name).facts
  const page = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text()
  const read = (metric: string): number =>
    Number(new RegExp(`^${metric}(?:\\{.*\\})? (\\S+)$`, 'm').exec(page)?.[1])
  return {
    cpuSeconds: read('process_cpu_seconds_total'),
    rssBytes: read('process_resident_memory_bytes'),
  }
}

/** Linux counts a process's CPU time in hundredths of a second. */
const ticksPerSecond = 100

/** CPU seconds of this process's children that are called `command`, as Linux counts them. */
export const cpuOfChildren = async (command: string): Promise<number> => {
  let ticks = 0
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    const [, name, rest = ''] = /^\d+ \((.*)\) (.*)/.exec(stat) ?? []
    const fields = rest.split(' ')
    if (name !== command || Number(fields[1]) !== process.pid) continue
    ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks / ticksPerSecond
}

/** CPU seconds that all cores together have had so far, and those in which one was idle. */
export const cpuOfMachine = async (): Promise<{ all: number; idle: number }> => {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n')
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number)
  const all = ticks.reduce((sum, value) => sum + value, 0)
  return { all: all / ticksPerSecond, idle: ((ticks[3] ?? 0) + (ticks[4] ?? 0)) / ticksPerSecond }
}
