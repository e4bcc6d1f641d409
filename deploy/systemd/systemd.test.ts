import { spawnSync } from 'node:child_process'
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { appOf, apps, root, unknownSettings } from '../testing/settings.ts'

const file = path.join(root, 'deploy/systemd/punica@.service')

/** The settings of a unit, each with all its values. */
const readUnit = async (): Promise<Map<string, string[]>> => {
  const unit = new Map<string, string[]>()
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) unit.set(key, [...(unit.get(key) ?? []), value])
  }
  return unit
}

test.each(apps)(
  'the unit starts %s, gives it time to stop, and sets what it reads',
  async (app) => {
    const unit = await readUnit()
    const [command = ''] = unit.get('ExecStart') ?? []
    expect(appOf(command.replaceAll('%i', app).split(' '))).toBe(app)
    // Longer than the minute after which a service ends itself.
    expect(Number(unit.get('TimeoutStopSec')?.[0])).toBeGreaterThan(60)
    // The code of refused settings.
    expect(unit.get('RestartPreventExitStatus')).toEqual(['2'])
    const names = (unit.get('Environment') ?? []).map((setting) => setting.split('=')[0] ?? '')
    // DATA_DIR is a node's; the others are set alike and do not read it.
    expect(await unknownSettings('gpu-node', names)).toEqual([])
  },
)

const canVerify = spawnSync('systemd-analyze', ['--version']).status === 0

test.skipIf(!canVerify)('systemd finds nothing wrong with the unit', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'punica-unit-'))
  try {
    const unit = path.join(folder, 'punica@gateway.service')
    await copyFile(file, unit)
    const { stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' })
    expect(stderr.split('\n').filter((line) => line.includes('punica@'))).toEqual([])
  } finally {
    await rm(folder, { recursive: true })
  }
})

/** deploy/README.md names the settings of each program in a table. */
test.each(apps)('the README names no setting that %s does not have', async (app) => {
  const text = await readFile(path.join(root, 'deploy/README.md'), 'utf8')
  const row = new RegExp(`^\\| ${app} \\|(.*)\\|$`, 'm').exec(text)?.[1] ?? ''
  const names = [...row.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, name]) => name ?? '')
  expect(names.length).toBeGreaterThan(5)
  expect(await unknownSettings(app, names)).toEqual([])
})
