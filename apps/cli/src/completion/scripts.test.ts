import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { createProgram } from '../program.ts'
import { completionScript } from './scripts.ts'

const has = (shell: string): boolean => spawnSync(shell, ['--version']).error === undefined

/** What bash offers for a line whose last word is under the cursor. */
const offered = (...words: string[]): string[] => {
  const script = `${completionScript('bash', createProgram())}
    COMP_WORDS=(punica "$@"); COMP_CWORD=$#; _punica; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' })
  return stdout.trim().split('\n')
}

describe.skipIf(!has('bash'))('in bash', () => {
  test('the script parses', () => {
    const input = completionScript('bash', createProgram())
    expect(spawnSync('bash', ['-n'], { input, encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    })
  })

  test('commands, commands of commands and options are offered', () => {
    expect(offered('st')).toEqual(['status'])
    expect(offered('adapter', 'r')).toEqual(['rollback', 'rm'])
    expect(offered('adapter', 'push', '--base')).toEqual(['--base-model'])
    // Also behind an option.
    expect(offered('key', '--json', 'rot')).toEqual(['rotate'])
  })
})

test.skipIf(!has('zsh'))('in zsh the script parses', () => {
  const input = completionScript('zsh', createProgram())
  expect(spawnSync('zsh', ['-n'], { input, encoding: 'utf8' })).toMatchObject({ status: 0 })
})

test.skipIf(!has('fish'))('in fish the script parses', () => {
  const input = completionScript('fish', createProgram())
  expect(spawnSync('fish', ['-n'], { input, encoding: 'utf8' })).toMatchObject({ status: 0 })
})

test('fish offers a command only where it stands', () => {
  const script = completionScript('fish', createProgram())
  expect(script).toMatch(/-n '__fish_seen_subcommand_from adapter; and not .*' -a push /)
  expect(script).toMatch(/__fish_seen_subcommand_from push' -l base-model /)
})
