import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  expectSound,
  makeScratch,
  modalOf,
  openConsole,
  signIn,
  startBrowser,
  visit,
} from './support/browser.ts'
import { keepBusy } from './support/busy.ts'
import { untilIdle } from './support/nodes.ts'
import { models, type System, startSystem } from './support/system.ts'

// What an operator and the people of a tenant do in the console, in the system's own browser,
// against the whole system as `punica up` starts it.

let system: System
let browser: Browser
let scratch: Awaited<ReturnType<typeof makeScratch>>
let url = ''

beforeAll(async () => {
  ;[system, browser, scratch] = await Promise.all([startSystem(), startBrowser(), makeScratch()])
  url = system.cluster.controlPlaneUrl
})

afterAll(async () => {
  await browser?.close()
  await system?.stop()
  await scratch?.remove()
})

const open = (options: { key?: string; path?: string; width?: number } = {}): Promise<Page> => {
  const { key = system.cluster.operatorKey, path: at = '/', width = 1280 } = options
  return openConsole(browser, { url: url + at, key, width })
}

const makeKey = async (tenant: string, scopes: ('GENERATE' | 'ADMIN')[]): Promise<string> =>
  (await system.operator.createApiKey({ tenant, name: scopes.join(' '), scopes })).secret

const french = path.join(models, 'adapters', 'french')

test('a wrong key is refused in words, and a right one opens the overview', async () => {
  const page = await openConsole(browser, { url })
  await page.getByLabel('API key').fill('pk_nonsense')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('The API key is malformed').waitFor()
  expect(await page.getByLabel('API key').inputValue()).toBe('pk_nonsense')
  await expectSound(page, 'sign-in')
  await signIn(page, system.cluster.operatorKey)
  await page.getByRole('heading', { name: /2 GPUs ready/ }).waitFor()
  await page.reload()
  await page.getByRole('heading', { name: /2 GPUs ready/ }).waitFor()
  await page.context().close()
})

test('a folder becomes an adapter that serves, and a new version a canary', async () => {
  const page = await open({ path: '/adapters' })
  await page.getByRole('button', { name: 'Upload an adapter' }).click()
  const dialog = modalOf(page)
  await dialog.getByLabel('Choose a folder').setInputFiles(french)
  await dialog.getByText(/tensors, /).waitFor()
  expect(await dialog.getByLabel('Name', { exact: true }).inputValue()).toBe('french')
  await dialog.getByLabel('Name', { exact: true }).fill('parisian')
  await dialog.getByLabel('Tenant').fill('acme')
  await expectSound(page, 'upload form')
  await dialog.getByRole('button', { name: 'Upload and publish' }).click()
  await dialog.getByText('Version 1 of parisian is published').waitFor()
  await dialog.getByRole('link', { name: 'See the adapter' }).click()

  await page.getByRole('heading', { name: 'parisian' }).waitFor()
  await page.getByRole('button', { name: 'Upload a version' }).click()
  await dialog
    .getByLabel('Choose two files')
    .setInputFiles(
      ['adapter_config.json', 'adapter_model.safetensors'].map((name) =>
        path.join(models, 'adapters', 'bard', name),
      ),
    )
  await dialog.getByLabel('Takes of the requests').selectOption('0.1')
  await dialog.getByRole('button', { name: 'Upload and publish' }).click()
  await dialog.getByText('serves 10 % of the requests').waitFor()
  await page.keyboard.press('Escape')
  await page.getByText('v1 90 % · v2 10 %').waitFor()

  await page.getByRole('button', { name: 'Roll back' }).click()
  await dialog.getByRole('button', { name: 'Roll back' }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByText('v1 90 % · v2 10 %').waitFor({ state: 'detached' })
  await expectSound(page, 'adapter')
  await page.context().close()
})

test('a folder may be dropped', async () => {
  const page = await open({ path: '/adapters' })
  await page.getByRole('button', { name: 'Upload an adapter' }).click()
  const files = await Promise.all(
    ['adapter_config.json', 'adapter_model.safetensors'].map(async (name) => ({
      name,
      base64: (await readFile(path.join(french, name))).toString('base64'),
    })),
  )
  const dropped = await page.evaluateHandle((all) => {
    const transfer = new DataTransfer()
    for (const { name, base64 } of all) {
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
      transfer.items.add(new File([bytes], name))
    }
    return transfer
  }, files)
  await page
    .getByText('Drop the folder of a PEFT adapter here')
    .dispatchEvent('drop', { dataTransfer: dropped })
  const checks = page.getByRole('list', { name: 'Checks of the files' })
  await checks.getByText(/tensors, /).waitFor()
  expect(await checks.getByLabel('does not hold').count()).toBe(0)
  await page.context().close()
})

test('a refused adapter is refused in words, and what was typed stays', async () => {
  const broken = path.join(scratch.folder, 'broken')
  await mkdir(broken, { recursive: true })
  const config = JSON.parse(await readFile(path.join(french, 'adapter_config.json'), 'utf8'))
  const weights = await readFile(path.join(french, 'adapter_model.safetensors'))
  const write = (changed: object, bytes: Uint8Array): Promise<unknown> =>
    Promise.all([
      writeFile(path.join(broken, 'adapter_config.json'), JSON.stringify(changed)),
      writeFile(path.join(broken, 'adapter_model.safetensors'), bytes),
    ])
  const page = await open({ path: '/adapters' })
  await page.getByRole('button', { name: 'Upload an adapter' }).click()
  const dialog = modalOf(page)
  await dialog.getByLabel('Name', { exact: true }).fill('wrong')
  await dialog.getByLabel('Tenant').fill('acme')

  // The browser sees these; nothing is sent.
  await write({ ...config, use_dora: true }, weights.subarray(0, weights.length - 100))
  await dialog.getByLabel('Choose a folder').setInputFiles(broken)
  await dialog.getByText('DoRA is not supported').waitFor()
  await dialog.getByText('it is cut off').waitFor()
  expect(await dialog.getByRole('button', { name: 'Upload and publish' }).isEnabled()).toBe(false)

  // Only the control plane can see this: a rank that is not the tensors'.
  await write({ ...config, r: config.r * 2 }, weights)
  await dialog.getByLabel('Choose a folder').setInputFiles(broken)
  await dialog.getByRole('button', { name: 'Upload and publish' }).click()
  await dialog.getByRole('alert').filter({ hasText: 'adapter_' }).waitFor()
  expect(await dialog.getByLabel('Name', { exact: true }).inputValue()).toBe('wrong')
  expect(await dialog.getByLabel('Tenant').inputValue()).toBe('acme')
  await page.context().close()
})

test('the playground streams several adapters from one batch, each with its node', async () => {
  const page = await open({ path: '/playground' })
  await page.getByLabel('Tenant').fill('acme')
  for (const name of ['sql-helper', 'sentiment', 'extract-json']) {
    await page.getByLabel('Models').fill(name)
    await page.getByRole('option', { name, exact: true }).click()
  }
  await page.getByLabel('Prompt').fill('The gray horse keeps my ball.')
  await page.getByRole('button', { name: 'Run' }).click()
  for (const name of ['sql-helper', 'sentiment', 'extract-json']) {
    const answer = page.getByRole('article', { name: `Answer of ${name}` })
    await answer.getByText(/Complete|At its limit/).waitFor()
    await answer.getByRole('link', { name: /node-/ }).waitFor()
  }
  await page.getByText(/3 of 3 models on one GPU, node-\d; up to [23] distinct adapters/).waitFor()
  await expectSound(page, 'playground')

  // What was asked is counted, and how long it took, under the adapter that answered.
  const traffic = page.locator('dl.facts > div', { hasText: 'Time to first token' })
  await visit(page, 'Adapters')
  await page.getByRole('link', { name: 'sql-helper' }).first().click()
  const waited = async (): Promise<string | null> => {
    await page.reload()
    return traffic.textContent()
  }
  await expect.poll(waited, { timeout: 30_000 }).toMatch(/\d (µs|ms|s)$/)
  await page.context().close()
})

test('requests land on a GPU, and move away when its node is drained', async () => {
  await untilIdle(system)
  const page = await open()
  const busy = keepBusy(system, 6)
  await page.getByRole('heading', { name: /^1 of 2 GPUs serve [1-6] requests?\.$/ }).waitFor()
  // What clients feel, as the gateway tells it, and what the router says of its queue.
  await page
    .getByText(/^median · p99 [\d.]+ (µs|ms|s)$/)
    .nth(1)
    .waitFor()
  await page.getByText('requests · 0 wait').waitFor()
  const map = page.getByRole('listbox', { name: '2 GPUs' })
  await map.focus()
  const chosen = page.getByRole('option')
  if (/, 0 of/.test((await chosen.textContent()) ?? '')) await page.keyboard.press('End')
  await page.getByRole('option', { name: /^node-\d, ready, [1-6] of \d+ requests/ }).waitFor()
  const full = (await chosen.textContent())?.split(',')[0] ?? ''
  const other = full === 'node-1' ? 'node-2' : 'node-1'
  await page.getByRole('list', { name: 'Decisions' }).getByText(`on ${full}`).first().waitFor()
  await page.keyboard.press('Enter')

  await page.getByRole('heading', { name: full }).waitFor()
  await page.getByRole('button', { name: 'Drain' }).click()
  await modalOf(page).getByRole('button', { name: 'Drain' }).click()
  await page.getByText('Drained', { exact: true }).waitFor()
  await page.getByText('Nothing runs here').waitFor()
  await visit(page, 'Overview')
  await page.getByText('1 GPU drained, empty.').waitFor()
  await page.getByRole('heading', { name: /^1 of 2 GPUs serve/ }).waitFor()
  // Some were in the middle of their answer, and their clients saw one unbroken stream.
  const seen = await busy.stop()
  expect(seen.map(({ nodes }) => nodes)).toContainEqual([full, other])
  for (const { completionTokens } of seen) expect(completionTokens).toBe(600)

  await visit(page, 'Nodes')
  await page.getByRole('button', { name: `Actions for ${full}` }).click()
  await page.getByRole('menuitem', { name: 'Uncordon' }).click()
  await modalOf(page).getByRole('button', { name: 'Uncordon' }).click()
  await page.getByText(`${full} is open again`).waitFor()
  await page.context().close()
})

test('a key is shown once, works, and is refused everywhere once it is revoked', async () => {
  const page = await open({ path: '/tenants/acme?tab=keys' })
  await page.getByRole('button', { name: 'Create a key' }).click()
  const dialog = modalOf(page)
  await dialog.getByLabel('Name', { exact: true }).fill('short-lived')
  await dialog.getByRole('button', { name: 'Create' }).click()
  const secret = await dialog.getByLabel('API key').inputValue()
  await expectSound(page, 'a new key')
  await dialog.getByRole('button', { name: 'Done' }).click()
  expect(await page.content()).not.toContain(secret)

  const ask = async (): Promise<number> => {
    const headers = { authorization: `Bearer ${secret}` }
    return (await fetch(`${system.cluster.gatewayUrl}/v1/models`, { headers })).status
  }
  await expect.poll(ask).toBe(200)
  const other = await open({ key: secret, path: '/playground' })
  await other.getByLabel('Prompt').fill('Something long that I have just typed')

  const row = page.getByRole('row', { name: 'short-lived' })
  await row.getByRole('button', { name: 'Revoke' }).click()
  await dialog.getByRole('button', { name: 'Revoke' }).click()
  await row.getByText('Revoked').waitFor()
  await expect.poll(ask).toBe(401)

  // Its owner is asked for another key, above the page that keeps what was typed.
  await visit(other, 'Adapters')
  await other.getByRole('dialog', { name: 'Sign in again' }).waitFor()
  await modalOf(other).getByText('The API key is revoked').waitFor()
  await expectSound(other, 'sign in again')
  await other.getByLabel('API key').fill(system.keys.acme)
  await other.getByRole('button', { name: 'Sign in' }).click()
  await modalOf(other).waitFor({ state: 'detached' })
  await visit(other, 'Playground')
  expect(await other.getByLabel('Prompt').inputValue()).toContain('just typed')
  await Promise.all([page.context().close(), other.context().close()])
})

test('what a role may not do is not shown', async () => {
  const linksOf = async (page: Page): Promise<string[]> =>
    page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allInnerTexts()
  const admin = await open({ key: await makeKey('acme', ['GENERATE', 'ADMIN']) })
  expect(await linksOf(admin)).toEqual(['Adapters', 'Tenant', 'Playground'])
  await visit(admin, 'Tenant')
  await admin.getByRole('tab', { name: 'Quotas' }).click()
  await admin.getByText('no limit').first().waitFor()
  expect(await admin.getByRole('button', { name: /Save|Suspend/ }).count()).toBe(0)

  const user = await open({ key: system.keys.acme, path: '/nodes' })
  expect(await linksOf(user)).toEqual(['Adapters', 'Playground'])
  await user.getByText('There is no such page').waitFor()
  await visit(user, 'Adapters')
  await user.getByRole('link', { name: 'sql-helper' }).click()
  await user.getByRole('heading', { name: 'Versions' }).waitFor()
  expect(await user.getByRole('button', { name: /Upload|Archive|Grant|Shares/ }).count()).toBe(0)
  await Promise.all([admin.context().close(), user.context().close()])
})

const pages = [
  ['/', /GPUs/],
  ['/nodes', 'Nodes'],
  ['/nodes/node-1', 'node-1'],
  ['/adapters', 'Adapters'],
  ['/adapters/globex/french', 'french'],
  ['/tenants', 'Tenants'],
  ['/tenants?tab=audit', 'Tenants'],
  ['/tenants/acme', 'acme'],
  ['/tenants/acme?tab=keys', 'acme'],
  ['/tenants/acme?tab=nats', 'acme'],
  ['/tenants/acme?tab=quotas', 'acme'],
  ['/playground', 'Playground'],
] as const

test.each([
  ['light', 1280],
  ['dark', 390],
] as const)(
  'axe finds nothing serious on any page: %s, %i px',
  async (theme, width) => {
    const key = system.cluster.operatorKey
    const page = await openConsole(browser, { url, key, theme, width })
    for (const [at, title] of pages) {
      await page.goto(url + at)
      await page.getByRole('heading', { name: title, level: 1 }).waitFor()
      await expect.poll(() => page.locator('[aria-busy="true"]').count()).toBe(0)
      await expectSound(page, `${at}, ${theme}, ${width} px`)
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      )
      expect(overflow, `${at} is wider than the window`).toBeLessThanOrEqual(0)
    }
    await page.context().close()
  },
  240_000,
)
