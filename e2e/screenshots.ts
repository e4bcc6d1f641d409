// Makes the pictures of the documents: every page of the console in both themes, of the real system
// at work, as WebP. Run by `npm run screenshots`.
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { openConsole, startBrowser } from './support/browser.ts'
import { keepBusy } from './support/busy.ts'
import { makeDataFolder, removeDataFolder } from './support/folder.ts'
import { type System, startSystem } from './support/system.ts'

const folder = fileURLToPath(new URL('../docs/screenshots', import.meta.url))

/** Long enough for the lines over time to have a shape. */
const watchMs = 45_000
const quality = 0.82

type Shot = {
  name: string
  at: string
  title: string | RegExp
  prepare?: (page: Page) => Promise<void>
}

const play = async (page: Page): Promise<void> => {
  for (const model of ['bard', 'french', 'pirate-tales']) {
    await page.getByLabel('Models').fill(model)
    await page.getByRole('option', { name: model, exact: true }).click()
  }
  await page.getByLabel('Prompt').fill('Tell me of the gray horse and the sea.')
  await page.getByRole('button', { name: 'Run' }).click()
  await page.getByText(/3 of 3 models/).waitFor()
  await page
    .getByText(/Complete|At its limit/)
    .nth(2)
    .waitFor()
}

const shots: Shot[] = [
  {
    name: 'overview',
    at: '/',
    title: /GPUs? serve/,
    prepare: (page) => page.waitForTimeout(watchMs),
  },
  { name: 'nodes', at: '/nodes', title: 'Nodes' },
  {
    name: 'node',
    at: '/nodes/node-4',
    title: 'node-4',
    prepare: (page) => page.waitForTimeout(watchMs / 3),
  },
  { name: 'adapters', at: '/adapters', title: 'Adapters' },
  { name: 'adapter', at: '/adapters/globex/french', title: 'french' },
  { name: 'tenants', at: '/tenants', title: 'Tenants' },
  { name: 'tenant', at: '/tenants/globex', title: 'globex' },
  { name: 'playground', at: '/playground?tenant=globex', title: 'Playground', prepare: play },
]

/** The browser's own encoder makes a picture of a page a third of the size of a PNG. */
const toWebp = async (browser: Browser, png: Buffer): Promise<Buffer> => {
  const page = await browser.newPage()
  const encoded = await page.evaluate(
    async ({ source, share }) => {
      const image = await createImageBitmap(await (await fetch(source)).blob())
      const canvas = new OffscreenCanvas(image.width, image.height)
      canvas.getContext('2d')?.drawImage(image, 0, 0)
      const blob = await canvas.convertToBlob({ type: 'image/webp', quality: share })
      return [...new Uint8Array(await blob.arrayBuffer())]
    },
    { source: `data:image/png;base64,${png.toString('base64')}`, share: quality },
  )
  await page.close()
  return Buffer.from(encoded)
}

const shoot = async (
  { cluster }: System,
  browser: Browser,
  { shot, theme, width }: { shot: Shot; theme: 'light' | 'dark'; width: number },
): Promise<void> => {
  const url = cluster.controlPlaneUrl
  const page = await openConsole(browser, { url, key: cluster.operatorKey, theme, width })
  await page.goto(url + shot.at)
  await page.getByRole('heading', { name: shot.title, level: 1 }).waitFor()
  await shot.prepare?.(page)
  await page.locator('[aria-busy="true"]').first().waitFor({ state: 'detached' })
  // Charts are loaded after the page.
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.timeline')].every((chart) => chart.querySelector('canvas')),
  )
  const suffix = width < 600 ? `${theme}-narrow` : theme
  const file = path.join(folder, `${shot.name}-${suffix}.webp`)
  await writeFile(file, await toWebp(browser, await page.screenshot()))
  console.log(path.relative(process.cwd(), file))
  await page.context().close()
}

/** System fonts differ; where it is there, pictures are set in Inter. */
const writeFontConfig = async (file: string): Promise<void> => {
  const prefer = (family: string): string =>
    `<alias binding="strong"><family>${family}</family><prefer><family>Inter</family></prefer></alias>`
  await writeFile(
    file,
    `<?xml version="1.0"?><fontconfig><include>/etc/fonts/fonts.conf</include>${prefer('system-ui')}${prefer('sans-serif')}</fontconfig>`,
  )
}

const scratch = await makeDataFolder()
const fontConfig = path.join(scratch, 'fonts.conf')
await writeFontConfig(fontConfig)
process.env.FONTCONFIG_FILE = fontConfig
await mkdir(folder, { recursive: true })
const system = await startSystem({ numNodes: 4 })
const browser = await startBrowser()
const busy = keepBusy(system, 48)
try {
  for (const shot of shots) {
    for (const theme of ['light', 'dark'] as const) {
      await shoot(system, browser, { shot, theme, width: 1280 })
    }
  }
  for (const shot of shots.filter(({ name }) => name === 'overview' || name === 'playground')) {
    await shoot(system, browser, { shot, theme: 'dark', width: 390 })
  }
  await busy.stop()
} finally {
  await browser.close()
  await system.stop()
  await removeDataFolder(scratch)
}
