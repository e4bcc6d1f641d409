import type { Command } from 'commander'
import { type ControlPlane, connectControlPlane } from './control-plane/connect.ts'
import { ViewerDocument } from './generated/graphql.ts'
import { type ConnectionOptions, requireSetting, resolveSettings } from './settings.ts'
import type { Io, OutputOptions } from './terminal/io.ts'
import { UsageError } from './usage-error.ts'

/** Options of every command that talks to a control plane. */
export type ControlOptions = ConnectionOptions & OutputOptions

/** The text below a command's help. */
export const example = (line: string): string => `\nExample:\n  $ ${line}`

/** Adds --json. */
export const withJson = (command: Command): Command =>
  command.option('--json', 'print one JSON document, and nothing else, on stdout')

/** Adds the options that say which system a command is about. */
export const withConnection = (command: Command): Command =>
  command
    .option('--url <url>', 'of the control plane; by default PUNICA_URL')
    .option('--key <key>', 'an API key; better in PUNICA_KEY, where no process list shows it')
    .option(
      '--data <folder>',
      'of a `punica up` of this machine, used where no URL is given',
      '.punica',
    )

/** The control plane that the options name. */
export const openControlPlane = async (
  options: ConnectionOptions,
  io: Pick<Io, 'signal'>,
): Promise<ControlPlane> => {
  const settings = await resolveSettings(options)
  return connectControlPlane({
    url: requireSetting(settings, 'controlPlaneUrl'),
    key: requireSetting(settings, 'key'),
    signal: io.signal,
  })
}

/** The tenant that was named, or the one that the key belongs to. */
export const findTenant = async ({ ask }: ControlPlane, named: string | null): Promise<string> => {
  if (named !== null) return named
  const { viewer } = await ask(ViewerDocument, {})
  if (viewer.tenant !== null) return viewer.tenant.slug
  throw new UsageError('An operator’s key belongs to no tenant: name one with --tenant')
}
