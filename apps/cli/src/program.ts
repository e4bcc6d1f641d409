import { Command } from 'commander'
import { toWhole } from './arguments.ts'
import { addAdapterCommands } from './commands/adapter.ts'
import { addBenchCommand } from './commands/bench.ts'
import { addCatalogCommands } from './commands/catalog.ts'
import { addCompletionCommand } from './commands/completion.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addGenerateCommand } from './commands/generate.ts'
import { addKeyCommands } from './commands/key.ts'
import { addLogsCommand } from './commands/logs.ts'
import { addNodeCommands } from './commands/node.ts'
import { addStatusCommand } from './commands/status.ts'
import { addTenantCommands } from './commands/tenant.ts'
import { addTopCommand } from './commands/top.ts'
import { example } from './connection.ts'
import { version } from './version.ts'

const toNodes = toWhole(1, 64)
const toPort = toWhole(0, 65_535)

/** The whole command line: every command with its options and its help. */
export const createProgram = (): Command => {
  const program = new Command('punica')
    .description('One base model, thousands of LoRA adapters, as few GPUs as the traffic needs.')
    .version(version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'print the help of a command')
    .showHelpAfterError('(--help shows how it is used)')
    .exitOverride()
  addLaunchCommands(program)
  addStatusCommand(program)
  addTopCommand(program)
  addAdapterCommands(program)
  addTenantCommands(program)
  addKeyCommands(program)
  addNodeCommands(program)
  addGenerateCommand(program)
  addBenchCommand(program)
  addLogsCommand(program)
  addDoctorCommand(program)
  addCatalogCommands(program)
  addCompletionCommand(program)
  return program.addHelpText('after', footer)
}

const footer = `
Where the system is: flags, then PUNICA_URL, PUNICA_GATEWAY_URL and PUNICA_KEY, then the \`punica up\` of --data.
Exit codes: 0 done, 1 failed, 2 called wrongly, 130 interrupted.`

// Starting a system takes far more of the program than asking one, so it is loaded when it is wanted.
const addLaunchCommands = (program: Command): void => {
  program
    .command('up')
    .description('start the whole system on this machine and keep it until Ctrl-C')
    .option('--data <folder>', 'where its state is kept', '.punica')
    .option('--nodes <count>', 'CPU nodes to start', toNodes, 2)
    .option('--routers <count>', 'routers to start: one leads, the others stand by', toNodes, 2)
    .option('--port <port>', 'of the gateway; 0: any free one', toPort, 8000)
    .option('--control-port <port>', 'of the control plane; 0: any free one', toPort, 8080)
    .option('--nats-port <port>', 'of the embedded nats-server; 0: any free one', toPort, 4222)
    .option('--model <folder>', 'a Hugging Face model folder instead of the demo model')
    .option('--model-name <name>', 'the name under which --model is served')
    .addHelpText('after', example('punica up --nodes 4 --data /var/lib/punica'))
    .action(async (options) => (await import('./up.ts')).up(options))
  program
    .command('demo')
    .description('start a system of its own, and watch six adapters answer from one base model')
    .option('--nodes <count>', 'CPU nodes to start', toNodes, 2)
    .addHelpText('after', example('punica demo'))
    .action(async (options) => (await import('./demo/demo.ts')).demo(options))
}
