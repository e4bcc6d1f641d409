import type { Command } from 'commander'
import { example, withJson } from '../connection.ts'
import { gatherFacts } from '../doctor/gather.ts'
import { type Check, judge } from '../doctor/judge.ts'
import { type Io, type OutputOptions, perform } from '../terminal/io.ts'

/** `punica doctor`: whether this machine can run the system, and what to do where it cannot. */
export const addDoctorCommand = (program: Command): void => {
  withJson(program.command('doctor'))
    .description(
      'check what `punica up` needs on this machine, and say what to do; exit code 1 where something fails',
    )
    .option('--data <folder>', 'that `punica up` would use', '.punica')
    .addHelpText('after', example('punica doctor'))
    .action(doctor)
}

const doctor = (options: OutputOptions & { data: string }): Promise<void> =>
  perform(options, async (io) => {
    const checks = judge(await gatherFacts(options.data))
    io.print({ checks }, () => checks.flatMap((check) => describe(check, io)).join('\n'))
    if (checks.some(({ verdict }) => verdict === 'fail')) process.exitCode = 1
  })

const colors = { ok: 'green', warn: 'yellow', fail: 'red' } as const

const describe = ({ name, verdict, detail, advice }: Check, { paint }: Io): string[] => [
  `${paint(colors[verdict], verdict.padEnd(4))}  ${name.padEnd(12)}  ${detail}`,
  ...(advice === null ? [] : [`${' '.repeat(20)}${advice}`]),
]
