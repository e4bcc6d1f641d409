#!/usr/bin/env -S npx tsx
import { Command, InvalidArgumentError } from 'commander'
import { demo } from './demo/demo.ts'
import { rebuildCatalog } from './rebuild-catalog.ts'
import { up } from './up.ts'

const toCount = (text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 64) {
    throw new InvalidArgumentError('must be a whole number from 1 to 64')
  }
  return value
}

const toPort = (text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0 || value > 65_535) {
    throw new InvalidArgumentError('must be a port from 0 (any free one) to 65535')
  }
  return value
}

const program = new Command('punica').description(
  'One base model, thousands of LoRA adapters, as few GPUs as the traffic needs.',
)

program
  .command('up')
  .description('start the whole system on this machine and keep it until Ctrl-C')
  .option('--data <folder>', 'where its state is kept', '.punica')
  .option('--nodes <count>', 'CPU nodes to start', toCount, 2)
  .option('--routers <count>', 'routers to start: one leads, the others stand by', toCount, 2)
  .option('--port <port>', 'of the gateway', toPort, 8000)
  .option('--control-port <port>', 'of the control plane', toPort, 8080)
  .option('--nats-port <port>', 'of the embedded nats-server', toPort, 4222)
  .option('--model <folder>', 'a Hugging Face model folder instead of the demo model')
  .option('--model-name <name>', 'the name under which --model is served')
  .action(up)

program
  .command('demo')
  .description('start a system of its own, and watch six adapters answer from one base model')
  .option('--nodes <count>', 'CPU nodes to start', toCount, 2)
  .action(demo)

program
  .command('catalog')
  .description('the records from which gateways and routers work')
  .command('rebuild')
  .description('compare them with the database and write what differs')
  .option('--url <url>', 'of the control plane', 'http://127.0.0.1:8080')
  .option('--key <key>', 'an operator’s key; by default PUNICA_KEY')
  .action(rebuildCatalog)

program.parseAsync().catch((err: unknown) => {
  console.error(err instanceof Error ? err.message : String(err))
  process.exitCode = 1
})
