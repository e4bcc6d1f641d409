import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectSound, openConsole, startBrowser, visit } from './support/browser.ts'
import { keepBusy } from './support/busy.ts'
import { type System, startSystem } from './support/system.ts'

// What the console says when what it stands on is away or fails, and that nothing typed is lost.

let system: System
let browser: Browser

beforeAll(async () => {
  ;[system, browser] = await Promise.all([startSystem(), startBrowser()])
})

afterAll(async () => {
  await browser?.close()
  await system?.stop()
})

const open = (path: string) =>
  openConsole(browser, {
    url: system.cluster.controlPlaneUrl + path,
    key: system.cluster.operatorKey,
  })

/** Lets no node take anything, so that a request waits for as long as a test likes; or lets it. */
const setNodes = async (mutation: 'cordonNode' | 'uncordonNode'): Promise<void> => {
  const type = mutation === 'cordonNode' ? 'CordonNodePayload' : 'UncordonNodePayload'
  for (const id of ['node-1', 'node-2']) {
    const { result } = await system.operator.graphql<{ result: { __typename: string } }>(
      `mutation ($input: NodeInput!) { result: ${mutation}(input: $input) { __typename } }`,
      { input: { id } },
    )
    expect(result.__typename).toBe(type)
  }
}

test('answers that break off are said to have, and nothing that was typed is lost', async () => {
  const page = await open('/playground')
  await page.getByLabel('Tenant').fill('globex')
  await page.getByLabel('Models').fill('french')
  await page.getByRole('option', { name: 'french', exact: true }).click()
  await page.getByLabel('Prompt').fill('A prompt that took a while to write')
  await setNodes('cordonNode')
  await page.getByRole('button', { name: 'Run' }).click()
  const answer = page.getByRole('article', { name: 'Answer of french' })
  await answer.getByText('Waiting').waitFor()
  const controlPlane = system.cluster.service('control-plane')
  const back = controlPlane.untilRestarted()
  controlPlane.kill('SIGKILL')

  await page.getByText('The connection broke off').waitFor()
  await answer.getByText('Stopped').waitFor()
  expect(await page.getByLabel('Prompt').inputValue()).toBe('A prompt that took a while to write')
  await back
  await setNodes('uncordonNode')
  await page.getByRole('status').filter({ hasText: 'Live' }).waitFor()
  await page.getByRole('button', { name: 'Run' }).click()
  await answer.getByText(/Complete|At its limit/).waitFor()
  await page.context().close()
})

test('while nobody answers the page says so and since when, and keeps what it shows', async () => {
  const page = await open('/')
  await page.getByRole('heading', { name: /2 GPUs/ }).waitFor()
  const controlPlane = system.cluster.service('control-plane')
  await controlPlane.stop()
  await page.getByText(/has not answered since \d\d:\d\d:\d\d/).waitFor()
  await page.getByRole('heading', { name: /2 GPUs/ }).waitFor()
  await expectSound(page, 'outage')
  await visit(page, 'Tenants')
  await page.getByRole('alert').filter({ hasText: 'does not answer' }).waitFor()
  await controlPlane.start()
  await page.getByRole('link', { name: 'acme' }).waitFor()
  await page.getByText('has not answered since').waitFor({ state: 'detached' })
  await page.context().close()
})

test('a control plane that hangs is noticed, and taken up again when it goes on', async () => {
  const page = await open('/')
  await page.getByRole('heading', { name: /2 GPUs/ }).waitFor()
  const controlPlane = system.cluster.service('control-plane')
  controlPlane.kill('SIGSTOP')
  await page.getByText('has not answered since').waitFor()
  controlPlane.kill('SIGCONT')
  await page.getByText('has not answered since').waitFor({ state: 'detached' })
  await page.getByRole('status').filter({ hasText: 'Live' }).waitFor()
  await page.context().close()
})

test('an internal error is said, and what was typed stays', async () => {
  const page = await open('/tenants/acme?tab=quotas')
  await page.getByLabel('Requests at a time').fill('17')
  await page.route('**/graphql', (route) => route.fulfill({ status: 500, body: 'broken' }))
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').filter({ hasText: 'an internal error' }).waitFor()
  expect(await page.getByLabel('Requests at a time').inputValue()).toBe('17')
  await page.unroute('**/graphql')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved').waitFor()
  await page.context().close()
})

test('a subscription that was dropped is taken up again', async () => {
  const page = await open('/')
  await page.getByRole('heading', { name: /2 GPUs/ }).waitFor()
  const numSockets = { now: 0 }
  page.on('websocket', () => {
    numSockets.now += 1
  })
  const controlPlane = system.cluster.service('control-plane')
  const back = controlPlane.untilRestarted()
  controlPlane.kill('SIGTERM')
  await back
  await expect.poll(() => numSockets.now).toBeGreaterThan(0)
  await page.getByRole('status').filter({ hasText: 'Live' }).waitFor()
  // What happens from now on is seen again.
  const busy = keepBusy(system, 2)
  await page.getByRole('heading', { name: /^[12] of 2 GPUs serve/ }).waitFor()
  await busy.stop()
  await page.context().close()
})
