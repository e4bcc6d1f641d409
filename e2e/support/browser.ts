import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core'
import { expect } from 'vitest'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  .filter((file) => existsSync(file))
  .at(0)

// Nothing but what the tests open: no look-ups, no updates, no first-run pages.
const flags = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
]

/** The system's own Chromium, with a profile of its own that goes with it. */
export const startBrowser = async (): Promise<Browser> => {
  if (executablePath === undefined) {
    throw new Error('The tests of the console need Chromium: install the package chromium')
  }
  return chromium.launch({ executablePath, args: flags })
}

type Theme = 'light' | 'dark'

type OpenOptions = {
  url: string
  /** Signs in with it; absent: the page asks for one. */
  key?: string
  theme?: Theme
  width?: number
}

/** What a page has said of itself that no page should: errors, and what its policy forbids. */
const complaints = new WeakMap<Page, string[]>()

/** Opens the console in a window of its own, as a person does who has never been there. */
export const openConsole = async (
  browser: Browser,
  { url, key, theme = 'light', width = 1280 }: OpenOptions,
): Promise<Page> => {
  const context: BrowserContext = await browser.newContext({
    viewport: { width, height: width < 600 ? 844 : 800 },
    colorScheme: theme,
  })
  const page = await context.newPage()
  const said: string[] = []
  complaints.set(page, said)
  page.on('pageerror', (error) => said.push(String(error)))
  page.on('console', (message) => {
    if (/Content.Security.Policy|Warning:|React/.test(message.text())) said.push(message.text())
  })
  await page.goto(url)
  if (key !== undefined) await signIn(page, key)
  return page
}

export const signIn = async (page: Page, key: string): Promise<void> => {
  await page.getByLabel('API key').fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('navigation', { name: 'Pages' }).waitFor()
}

/** Goes to a page by its menu, as a person does. */
export const visit = async (page: Page, title: string): Promise<void> => {
  const menu = page.getByRole('navigation', { name: 'Pages' })
  await menu.getByRole('link', { name: title }).click()
}

/** The page has broken nothing, and axe finds nothing serious on it. */
export const expectSound = async (page: Page, what: string): Promise<void> => {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
    .analyze()
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  const found = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
  expect(found, what).toEqual([])
  expect(complaints.get(page), what).toEqual([])
}

/** A folder for files that a test uploads. */
export const makeScratch = async (): Promise<{ folder: string; remove(): Promise<void> }> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'punica-console-'))
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** The window that asks for something. A toast says of itself that it is a dialog, too. */
export const modalOf = (page: Page): Locator => page.locator('.modal')
