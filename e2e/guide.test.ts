import { execFile } from 'node:child_process'
import { chmod, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Cluster, startCluster } from '@punica/cli/cluster'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { models } from './support/system.ts'

// docs/from-training-to-serving.md, command by command, but for the training.

const root = fileURLToPath(new URL('..', import.meta.url))

let folder: string
let cluster: Cluster

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'punica-guide-'))
  await chmod(folder, 0o711)
  cluster = await startCluster({
    dataFolder: path.join(folder, 'data'),
    durable: false,
    numNodes: 1,
  })
  // As two training runs would leave them.
  await cp(path.join(models, 'adapters/sentiment'), path.join(folder, 'out/sentiment'), {
    recursive: true,
  })
  await cp(path.join(models, 'adapters/french'), path.join(folder, 'out/sentiment-2'), {
    recursive: true,
  })
  const shim = `#!/bin/sh\nexec "${process.execPath}" --import "${import.meta.resolve('tsx')}" "${root}apps/cli/src/main.ts" "$@"\n`
  await writeFile(path.join(folder, 'punica'), shim, { mode: 0o755 })
  await symlink(path.join(root, 'docs'), path.join(folder, 'docs'))
})
afterAll(async () => {
  await cluster?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** The commands of a guide, block by block, less those that train or say where the system is. */
const readBlocks = async (): Promise<string[]> => {
  const text = await readFile(path.join(root, 'docs/from-training-to-serving.md'), 'utf8')
  const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block ?? '')
  return blocks.filter((block) => !/train\.py|export PUNICA_URL/.test(block))
}

test('every command of the guide does what it says', async () => {
  const blocks = await readBlocks()
  expect(blocks.length).toBeGreaterThan(5)
  const script = blocks.map((block) => `echo '=== block'\n${block}`).join('')
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: folder,
    env: {
      PATH: `${folder}:${process.env.PATH}`,
      HOME: folder,
      PUNICA_URL: cluster.controlPlaneUrl,
      PUNICA_GATEWAY_URL: cluster.gatewayUrl,
      PUNICA_KEY: cluster.operatorKey,
    },
  })
  const [, push, ask, second, , promote, back] = stdout.split('=== block\n')
  expect(push).toContain('positive')
  expect(ask).toContain('positive')
  expect(second).toMatch(/10 ?%|0\.1/)
  expect(promote).toContain('SetAdapterAliasPayload')
  expect(back).toMatch(/90 ?%|0\.9/)
}, 120_000)
