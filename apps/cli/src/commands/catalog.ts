import type { Command } from 'commander'
import {
  type ControlOptions,
  example,
  openControlPlane,
  withConnection,
  withJson,
} from '../connection.ts'
import { RebuildCatalogDocument } from '../generated/graphql.ts'
import { plural } from '../terminal/format.ts'
import { perform } from '../terminal/io.ts'

/** `punica catalog`: the records from which gateways and routers work. */
export const addCatalogCommands = (program: Command): void => {
  const catalog = program
    .command('catalog')
    .description('the records from which gateways and routers work; for operators')
  withJson(withConnection(catalog.command('rebuild')))
    .description('compare them with the database and write what differs')
    .addHelpText('after', example('punica catalog rebuild --url http://127.0.0.1:8080'))
    .action(rebuild)
}

const rebuild = (options: ControlOptions): Promise<void> =>
  perform(options, async (io) => {
    const { change } = await openControlPlane(options, io)
    const { changed } = await change(RebuildCatalogDocument, {})
    io.print({ changed }, () =>
      changed === 0 ? 'Nothing differed.' : `${plural(changed, 'record')} written anew or removed.`,
    )
  })
