import type { Command } from 'commander'
import { type Limit, toLimit, toNumber, toWhole } from '../arguments.ts'
import {
  type ControlOptions,
  example,
  openControlPlane,
  withConnection,
  withJson,
} from '../connection.ts'
import { readPages } from '../control-plane/read-pages.ts'
import {
  CreateTenantDocument,
  ResumeTenantDocument,
  SuspendTenantDocument,
  type TenantFieldsFragment as Tenant,
  TenantsDocument,
  type TenantsQuery,
  UpdateTenantDocument,
} from '../generated/graphql.ts'
import { formatCount } from '../terminal/format.ts'
import { perform } from '../terminal/io.ts'
import { type Column, drawTable } from '../terminal/table.ts'
import { UsageError } from '../usage-error.ts'

type Quotas = {
  weight?: number
  maxConcurrent?: Limit
  maxTokensPerMinute?: Limit
}
type ListedTenant = TenantsQuery['tenants']['edges'][number]['node']

/** `punica tenant`: who may use the system, and how much of it. */
export const addTenantCommands = (program: Command): void => {
  const tenant = program
    .command('tenant')
    .description('customers with keys, adapters and quotas of their own; for operators')
  withQuotas(withJson(withConnection(tenant.command('create <slug>'))))
    .description('make a tenant')
    .option('--name <name>', 'for people; by default the slug')
    .addHelpText('after', example('punica tenant create acme --max-concurrent 64'))
    .action(createTenant)
  withJson(withConnection(tenant.command('list')))
    .description('tenants by slug, with their quotas and their last 24 hours')
    .option('--search <text>', 'a part of the slug or of the name')
    .option('--limit <count>', 'show so many at most', toWhole(1, 100_000))
    .addHelpText('after', example('punica tenant list --search acme'))
    .action(listTenants)
  withQuotas(withJson(withConnection(tenant.command('update <slug>'))))
    .description('change the name or the quotas; what is left out stays')
    .option('--name <name>', 'for people')
    .addHelpText('after', example('punica tenant update acme --max-tokens-per-minute none'))
    .action(updateTenant)
  withJson(withConnection(tenant.command('suspend <slug>')))
    .description('refuse every key of a tenant; requests that run go on to their end')
    .option('--reason <text>', 'kept for whoever asks later')
    .addHelpText('after', example('punica tenant suspend acme --reason "invoice 17 is open"'))
    .action(suspendTenant)
  withJson(withConnection(tenant.command('resume <slug>')))
    .description('accept the keys of a suspended tenant again')
    .addHelpText('after', example('punica tenant resume acme'))
    .action(resumeTenant)
}

const withQuotas = (command: Command): Command =>
  command
    .option('--weight <number>', 'share among tenants when requests queue', toNumber(0, 1_000_000))
    .option('--max-concurrent <count>', 'requests queued or running at a time, or none', toLimit)
    .option('--max-tokens-per-minute <count>', 'prompt and new tokens, or none', toLimit)

const toInput = ({ weight, maxConcurrent, maxTokensPerMinute }: Quotas) => ({
  ...(weight === undefined ? {} : { weight }),
  ...(maxConcurrent === undefined ? {} : { maxConcurrentRequests: toQuota(maxConcurrent) }),
  ...(maxTokensPerMinute === undefined ? {} : { maxTokensPerMinute: toQuota(maxTokensPerMinute) }),
})

type NameOptions = ControlOptions & Quotas & { name?: string }

const createTenant = (slug: string, options: NameOptions): Promise<void> =>
  perform(options, async (io) => {
    const { change } = await openControlPlane(options, io)
    const input = { slug, name: options.name ?? slug, ...toInput(options) }
    const { tenant } = await change(CreateTenantDocument, { input })
    io.print({ tenant }, () => `Made tenant ${slug}. Next: punica key create --tenant ${slug}`)
  })

const updateTenant = (slug: string, options: NameOptions): Promise<void> =>
  perform(options, async (io) => {
    const { name } = options
    const changes = { ...toInput(options), ...(name === undefined ? {} : { name }) }
    if (Object.keys(changes).length === 0) {
      throw new UsageError('Nothing to change: give --name, --weight or a limit')
    }
    const { change } = await openControlPlane(options, io)
    const { tenant } = await change(UpdateTenantDocument, { input: { slug, ...changes } })
    io.print({ tenant }, () => drawTable(tenantColumns, [tenant]))
  })

const listTenants = (
  options: ControlOptions & { search?: string; limit?: number },
): Promise<void> =>
  perform(options, async (io) => {
    const { ask } = await openControlPlane(options, io)
    const search = options.search ?? null
    const tenants = await readPages(
      async (page) => (await ask(TenantsDocument, { search, ...page })).tenants,
      options.limit,
    )
    if (tenants.length === 0) io.note('No tenant.')
    io.print({ tenants }, () => drawTable(listColumns, tenants))
  })

const suspendTenant = (
  slug: string,
  options: ControlOptions & { reason?: string },
): Promise<void> =>
  perform(options, async (io) => {
    const { change } = await openControlPlane(options, io)
    const input = { slug, reason: options.reason ?? null }
    const { tenant } = await change(SuspendTenantDocument, { input })
    io.print({ tenant }, () => `Suspended tenant ${slug}.`)
  })

const resumeTenant = (slug: string, options: ControlOptions): Promise<void> =>
  perform(options, async (io) => {
    const { change } = await openControlPlane(options, io)
    const { tenant } = await change(ResumeTenantDocument, { input: { slug } })
    io.print({ tenant }, () => `Resumed tenant ${slug}.`)
  })

const toQuota = (limit: Limit): number | null => (limit === 'none' ? null : limit)

const formatQuota = (quota: number | null): string => (quota === null ? 'none' : formatCount(quota))

const tenantColumns: Column<Tenant>[] = [
  { title: 'TENANT', cell: ({ slug }) => slug },
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'STATE', cell: ({ suspended }) => (suspended ? 'suspended' : 'active') },
  { title: 'WEIGHT', isNumber: true, cell: ({ weight }) => String(weight) },
  {
    title: 'CONCURRENT',
    isNumber: true,
    cell: ({ maxConcurrentRequests }) => formatQuota(maxConcurrentRequests),
  },
  {
    title: 'TOKENS/MIN',
    isNumber: true,
    cell: ({ maxTokensPerMinute }) => formatQuota(maxTokensPerMinute),
  },
]

const listColumns: Column<ListedTenant>[] = [
  ...tenantColumns,
  {
    title: 'REQUESTS 24H',
    isNumber: true,
    cell: ({ traffic }) => formatCount(traffic.requests),
  },
  {
    title: 'TOKENS 24H',
    isNumber: true,
    cell: ({ traffic }) => formatCount(traffic.generatedTokens),
  },
]
