// How smooth the console's overview is while so many GPUs report twice a second: a real control
// plane over real NATS, statuses as nodes send them, and the system's Chromium. The same is measured
// of an empty page in the same run, as what this machine can do at all.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { connectBus } from '@punica/bus'
import { startCluster } from '@punica/cli/cluster'
import { channels } from '@punica/schema'
import { chromium, type Page } from 'playwright-core'
import { pretendStatus } from './pretend-status.ts'

const numGpus = Number(process.argv[2] ?? 1_000)
const seconds = Number(process.argv[3] ?? 20)
const reportMs = 500

const dataFolder = await mkdtemp(path.join(tmpdir(), 'punica-bench-'))
const cluster = await startCluster({ dataFolder, durable: false, numNodes: 0 })
const bus = await connectBus({
  url: cluster.natsUrl,
  credentialsFile: cluster.operatorCredentials,
})
let tick = 0
const reports = setInterval(() => {
  tick += 1
  for (let i = 0; i < numGpus; i++) {
    const status = pretendStatus(i, { numGpus, tick, baseModel: cluster.baseModel })
    bus.publish(channels.nodeEvents('default'), { type: 'status', status })
  }
}, reportMs)

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-sync'],
})

type Frames = { medianMs: number; p99Ms: number; longTaskShare: number }

/** Intervals between frames, and the share of the time that tasks of more than 50 ms took. */
const measure = async (page: Page): Promise<Frames> => {
  const durationMs = seconds * 1000
  const { intervals, longMs } = await page.evaluate(async (forMs) => {
    const measured = { intervals: [] as number[], longMs: 0 }
    const observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) measured.longMs += duration
    })
    observer.observe({ entryTypes: ['longtask'] })
    const start = performance.now()
    let last = start
    while (last - start < forMs) {
      const now = await new Promise<number>((resolve) => requestAnimationFrame(resolve))
      measured.intervals.push(now - last)
      last = now
    }
    observer.disconnect()
    return measured
  }, durationMs)
  intervals.sort((a, b) => a - b)
  const at = (share: number): number => intervals[Math.floor(share * (intervals.length - 1))] ?? 0
  return { medianMs: at(0.5), p99Ms: at(0.99), longTaskShare: longMs / durationMs }
}

try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
  let numUpdates = 0
  let numBytes = 0
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      if (!String(payload).includes('clusterState')) return
      numUpdates += 1
      numBytes += payload.length
    }),
  )
  await page.goto(cluster.controlPlaneUrl)
  await page.getByLabel('API key').fill(cluster.operatorKey)
  await page.getByRole('button', { name: 'Sign in' }).click()
  const name = `${numGpus.toLocaleString('en')} GPUs`
  await page.getByRole('listbox', { name }).waitFor({ timeout: 60_000 })
  const [updatesBefore, bytesBefore] = [numUpdates, numBytes]
  const overview = await measure(page)
  const updates = numUpdates - updatesBefore
  const bytes = numBytes - bytesBefore
  if (process.argv[4] !== undefined) await page.screenshot({ path: process.argv[4] })
  await page.goto('about:blank')
  const blank = await measure(page)

  const row = (title: string, { medianMs, p99Ms, longTaskShare }: Frames): string =>
    `| ${title} | ${medianMs.toFixed(1)} ms | ${p99Ms.toFixed(1)} ms | ${(100 * longTaskShare).toFixed(1)} % |`
  console.log(
    [
      `${numGpus} GPUs, ${(updates / seconds).toFixed(1)} updates a second of ${(bytes / Math.max(1, updates) / 1000).toFixed(0)} kB, ${seconds} s`,
      '',
      '| page | median frame | p99 frame | in tasks of more than 50 ms |',
      '|---|---|---|---|',
      row('overview', overview),
      row('empty page', blank),
    ].join('\n'),
  )
} finally {
  clearInterval(reports)
  await browser.close()
  await bus.close()
  await cluster.stop()
  await rm(dataFolder, { recursive: true, force: true })
}
