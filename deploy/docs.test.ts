import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { root } from './testing/settings.ts'

const files = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '')

test('every link of the documents that stays inside leads somewhere', async () => {
  const dead: string[] = []
  for (const file of files) {
    const text = await readFile(path.join(root, file), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|mailto:|#)/.test(target)) continue
      const [name = ''] = target.split('#')
      if (!existsSync(path.join(root, path.dirname(file), name))) dead.push(`${file}: ${target}`)
    }
  }
  expect(dead).toEqual([])
})

test('the operations guide says for every alert what to do, and for no other', async () => {
  const rules = await readFile(path.join(root, 'deploy/prometheus/alerts.yaml'), 'utf8')
  const guide = await readFile(path.join(root, 'docs/operations.md'), 'utf8')
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name)
  const explained = [...guide.matchAll(/^- \*\*(Punica\w+)\*\*/gm)].map(([, name]) => name)
  expect(explained).toEqual(alerts)
})
