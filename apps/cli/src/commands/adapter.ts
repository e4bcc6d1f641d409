import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import { toNumber, toWhole } from '../arguments.ts'
import {
  type ControlOptions,
  example,
  findTenant,
  openControlPlane,
  withConnection,
  withJson,
} from '../connection.ts'
import type { ControlPlane } from '../control-plane/connect.ts'
import { readPages } from '../control-plane/read-pages.ts'
import {
  AdapterDocument,
  type AdapterQuery,
  AdaptersDocument,
  type AdaptersQuery,
  ArchiveAdapterDocument,
  ArchiveAdapterVersionDocument,
  RollbackAdapterAliasDocument,
  type VersionFieldsFragment as Version,
} from '../generated/graphql.ts'
import { formatBytes, formatCount, formatShare, formatTime } from '../terminal/format.ts'
import { type Io, perform } from '../terminal/io.ts'
import { type Column, drawTable } from '../terminal/table.ts'
import { UsageError } from '../usage-error.ts'
import { notFound, push } from './push.ts'

type ListedAdapter = AdaptersQuery['adapters']['edges'][number]['node']
type Alias = NonNullable<AdapterQuery['adapter']>['aliases'][number]
type TenantOptions = ControlOptions & { tenant?: string }

const withTenant = (command: Command): Command =>
  withJson(withConnection(command)).option(
    '--tenant <slug>',
    'whose adapter it is; by default the tenant of your key',
  )

/** `punica adapter`: what tenants have fine-tuned. <adapter> is `name` or `tenant/name`. */
export const addAdapterCommands = (program: Command): void => {
  const adapter = program.command('adapter').description('LoRA adapters and their versions')
  withTenant(adapter.command('push <folder>'))
    .description('upload a PEFT folder and serve it; an interrupted push goes on where it was')
    .option('--name <name>', 'of the adapter; by default the folder’s')
    .option('--base-model <name>', 'by default the one that is served, where there is only one')
    .option(
      '--weight <share>',
      'share of the requests to the bare name, 0 to 1; 0: name@version only',
      toNumber(0, 1),
    )
    .addHelpText('after', example('punica adapter push out/french --tenant acme'))
    .action(push)
  withTenant(adapter.command('list'))
    .description('adapters by name')
    .option('--search <text>', 'a part of the name')
    .option('--archived', 'those that are no longer served')
    .option('--limit <count>', 'show so many at most', toWhole(1, 100_000))
    .addHelpText('after', example('punica adapter list --tenant acme'))
    .action(listAdapters)
  withTenant(adapter.command('versions <adapter>'))
    .description('the versions of an adapter, newest first, and what its aliases stand for')
    .addHelpText('after', example('punica adapter versions acme/french'))
    .action(listVersions)
  withTenant(adapter.command('rollback <adapter>'))
    .description('take an alias back to what it stood for before')
    .option('--alias <alias>', 'which; by default the bare name', 'default')
    .option('--revision <number>', 'to go back to; by default the one before', toWhole(1, 2 ** 31))
    .addHelpText('after', example('punica adapter rollback acme/french'))
    .action(rollBack)
  withTenant(adapter.command('rm <adapter>'))
    .description('end the service of an adapter, or of one version (name@2), for good')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', example('punica adapter rm acme/french@1 --yes'))
    .action(remove)
}

type ListOptions = TenantOptions & { search?: string; archived?: boolean; limit?: number }

const listAdapters = (options: ListOptions): Promise<void> =>
  perform(options, async (io) => {
    const { ask } = await openControlPlane(options, io)
    const { tenant = null, search = null, archived = false } = options
    const adapters = await readPages(
      async (page) => (await ask(AdaptersDocument, { tenant, search, archived, ...page })).adapters,
      options.limit,
    )
    if (adapters.length === 0) io.note('No adapter.')
    io.print({ adapters }, () => drawTable(columns, adapters))
  })

const listVersions = (named: string, options: TenantOptions): Promise<void> =>
  perform(options, async (io) => {
    const controlPlane = await openControlPlane(options, io)
    const { tenant, name } = await toReference(controlPlane, named, options.tenant)
    const { adapter } = await controlPlane.ask(AdapterDocument, { tenant, name })
    if (adapter === null) throw notFound(tenant, name)
    io.print({ adapter }, () =>
      [
        drawTable(versionColumns, adapter.versions),
        '',
        ...adapter.aliases.map((alias) => describeAlias(name, alias)),
      ]
        .join('\n')
        .trimEnd(),
    )
  })

type RollbackOptions = TenantOptions & { alias: string; revision?: number }

const rollBack = (named: string, options: RollbackOptions): Promise<void> =>
  perform(options, async (io) => {
    const controlPlane = await openControlPlane(options, io)
    const reference = await toReference(controlPlane, named, options.tenant)
    const { alias } = await controlPlane.change(RollbackAdapterAliasDocument, {
      input: { ...reference, alias: options.alias, revision: options.revision ?? null },
    })
    io.print({ alias }, () => describeAlias(reference.name, alias))
  })

const remove = (named: string, options: TenantOptions & { yes?: boolean }): Promise<void> =>
  perform(options, async (io) => {
    const [adapter = '', versionText] = named.split('@')
    const version = versionText === undefined ? null : Number(versionText)
    if (version !== null && !(Number.isInteger(version) && version > 0)) {
      throw new UsageError(`${named}: a version is a whole number, as in french@2`)
    }
    const controlPlane = await openControlPlane(options, io)
    const { tenant, name } = await toReference(controlPlane, adapter, options.tenant)
    const what =
      version === null ? `${tenant}/${name} with all its versions` : `${tenant}/${name}@${version}`
    if (options.yes !== true) await confirm(`End the service of ${what} for good?`, io)
    if (version === null) {
      await controlPlane.change(ArchiveAdapterDocument, { input: { tenant, name } })
    } else {
      await controlPlane.change(ArchiveAdapterVersionDocument, { input: { tenant, name, version } })
    }
    io.print({ removed: { tenant, name, version } }, () => `${what} is no longer served.`)
  })

const confirm = async (question: string, { stderr, signal, isJson }: Io): Promise<void> => {
  if (!process.stdin.isTTY || isJson) throw new UsageError(`${question} Say so with --yes`)
  const lines = createInterface({ input: process.stdin, output: stderr })
  const answer = await lines.question(`${question} [y/N] `, { signal }).finally(() => lines.close())
  if (!/^y(es)?$/i.test(answer.trim())) throw new UsageError('Nothing was done')
}

const toReference = async (
  controlPlane: ControlPlane,
  named: string,
  tenantOption: string | undefined,
): Promise<{ tenant: string; name: string }> => {
  const [, owner, name = ''] = /^(?:([^/@]+)\/)?([^/@]+)$/.exec(named) ?? []
  if (name === '') throw new UsageError(`${named}: name an adapter as french or acme/french`)
  if (owner !== undefined && tenantOption !== undefined && owner !== tenantOption) {
    throw new UsageError(`${named} is not of --tenant ${tenantOption}`)
  }
  return { tenant: await findTenant(controlPlane, owner ?? tenantOption ?? null), name }
}

const describeAlias = (adapter: string, { name, targets, revision }: Alias): string => {
  const shares = targets.map(({ version, weight }) => `@${version} ${formatShare(weight)}`)
  const called = name === 'default' ? adapter : `${adapter}@${name}`
  return `${called} is ${shares.join(', ')} (revision ${revision})`
}

const servedBy = ({ aliases }: ListedAdapter): string => {
  const targets = aliases.find(({ name }) => name === 'default')?.targets ?? []
  if (targets.length === 1) return `@${targets[0]?.version}`
  return targets.map(({ version, weight }) => `@${version} ${formatShare(weight)}`).join(' ')
}

const columns: Column<ListedAdapter>[] = [
  { title: 'TENANT', cell: ({ tenant }) => tenant.slug },
  { title: 'ADAPTER', cell: ({ name }) => name },
  { title: 'SERVES', cell: servedBy },
  { title: 'BASE MODEL', cell: ({ baseModel }) => baseModel },
  { title: 'REQUESTS 24H', isNumber: true, cell: ({ traffic }) => formatCount(traffic.requests) },
  {
    title: 'TOKENS 24H',
    isNumber: true,
    cell: ({ traffic }) => formatCount(traffic.generatedTokens),
  },
  { title: 'CREATED', cell: ({ createdAt }) => formatTime(createdAt) },
]

const versionColumns: Column<Version>[] = [
  { title: 'VERSION', isNumber: true, cell: ({ version }) => `@${version}` },
  { title: 'STATE', cell: ({ archivedAt }) => (archivedAt === null ? 'served' : 'archived') },
  { title: 'SHARE', isNumber: true, cell: ({ weight }) => formatShare(weight) },
  { title: 'RANK', isNumber: true, cell: ({ rank }) => String(rank) },
  { title: 'SIZE', isNumber: true, cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
  { title: 'DIGEST', cell: ({ digest }) => digest.slice(0, 12) },
  { title: 'CREATED', cell: ({ createdAt }) => formatTime(createdAt) },
]
