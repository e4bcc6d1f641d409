import type { Command } from 'commander'
import { toOneOf } from '../arguments.ts'
import { completionScript, shells } from '../completion/scripts.ts'
import { example } from '../connection.ts'

/** `punica completion`: what a shell needs to complete the command line. */
export const addCompletionCommand = (program: Command): void => {
  program
    .command('completion')
    .description('print a completion script for a shell')
    .argument('<shell>', shells.join(', '), toOneOf(...shells))
    .addHelpText('after', example('source <(punica completion bash)'))
    .action((shell) => {
      process.stdout.write(completionScript(shell, program))
    })
}
