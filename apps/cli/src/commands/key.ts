import { AppError } from '@punica/schema'
import type { Command } from 'commander'
import { toOneOf, toSeconds, toWhole } from '../arguments.ts'
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
  ApiKeysDocument,
  CreateApiKeyDocument,
  type CredentialState,
  type KeyFieldsFragment as Key,
  RevokeApiKeyDocument,
  RotateApiKeyDocument,
  type Scope,
} from '../generated/graphql.ts'
import { formatTime } from '../terminal/format.ts'
import { perform } from '../terminal/io.ts'
import { type Column, drawTable } from '../terminal/table.ts'
import { UsageError } from '../usage-error.ts'

/** `punica key`: what a program signs its calls with. */
export const addKeyCommands = (program: Command): void => {
  const key = program.command('key').description('API keys, which are shown once and kept hashed')
  withJson(withConnection(key.command('create')))
    .description('make a key and print it, alone, on stdout')
    .option('--tenant <slug>', 'whose key it is; by default the tenant of your own')
    .option('--operator', 'an operator’s key, which may do everything')
    .option('--name <name>', 'to know it by', 'cli')
    .option('--scope <scopes>', 'generate, admin, or both with a comma', toScopes, ['GENERATE'])
    .option('--expires-in <time>', 'such as 12h or 30d; by default never', toSeconds)
    .addHelpText('after', example('PUNICA_KEY=$(punica key create --tenant acme --expires-in 30d)'))
    .action(createKey)
  withJson(withConnection(key.command('list')))
    .description('keys, with the part that is not secret')
    .option('--tenant <slug>', 'of one tenant')
    .option('--state <state>', 'active, expired or revoked', toState)
    .option('--search <text>', 'a part of the name or of the prefix')
    .option('--limit <count>', 'show so many at most', toWhole(1, 100_000))
    .addHelpText('after', example('punica key list --tenant acme --state active'))
    .action(listKeys)
  withJson(withConnection(key.command('revoke <key>')))
    .description('refuse a key from now on; <key> is its id or its prefix, never the key itself')
    .addHelpText('after', example('punica key revoke k3v8q2m1x0ab'))
    .action(revokeKey)
  withJson(withConnection(key.command('rotate <key>')))
    .description('make a key in the place of another, and print it, alone, on stdout')
    .option('--overlap <time>', 'for so long the old key holds, too', toSeconds, 3600)
    .addHelpText('after', example('punica key rotate k3v8q2m1x0ab --overlap 1d'))
    .action(rotateKey)
}

const scopes: Readonly<Record<string, Scope>> = { generate: 'GENERATE', admin: 'ADMIN' }

const toScopes = (text: string): Scope[] =>
  text
    .split(',')
    .map(toOneOf('generate', 'admin'))
    .flatMap((word) => scopes[word] ?? [])

const states: Readonly<Record<string, CredentialState>> = {
  active: 'ACTIVE',
  expired: 'EXPIRED',
  revoked: 'REVOKED',
}

const toState = (text: string): CredentialState | undefined =>
  states[toOneOf('active', 'expired', 'revoked')(text)]

type CreateOptions = ControlOptions & {
  tenant?: string
  operator?: boolean
  name: string
  scope: Scope[]
  expiresIn?: number
}

const createKey = (options: CreateOptions): Promise<void> =>
  perform(options, async (io) => {
    const { operator = false, name, scope, expiresIn } = options
    if (operator && options.tenant !== undefined) {
      throw new UsageError('--operator and --tenant exclude each other')
    }
    const controlPlane = await openControlPlane(options, io)
    const { secret, apiKey } = await controlPlane.change(CreateApiKeyDocument, {
      input: {
        tenant: operator ? null : await findTenant(controlPlane, options.tenant ?? null),
        name,
        scopes: operator ? [] : scope,
        expiresAt:
          expiresIn === undefined ? null : new Date(Date.now() + expiresIn * 1000).toISOString(),
      },
    })
    io.note(`Key ${apiKey.prefix} of ${ownerOf(apiKey)}. It is shown once:`)
    io.print({ key: apiKey, secret }, () => secret)
  })

type ListOptions = ControlOptions & {
  tenant?: string
  state?: CredentialState
  search?: string
  limit?: number
}

const listKeys = (options: ListOptions): Promise<void> =>
  perform(options, async (io) => {
    const { ask } = await openControlPlane(options, io)
    const { tenant = null, state = null, search = null } = options
    const keys = await readPages(
      async (page) => (await ask(ApiKeysDocument, { tenant, state, search, ...page })).apiKeys,
      options.limit,
    )
    if (keys.length === 0) io.note('No key.')
    io.print({ keys }, () => drawTable(columns, keys))
  })

const revokeKey = (named: string, options: ControlOptions): Promise<void> =>
  perform(options, async (io) => {
    const controlPlane = await openControlPlane(options, io)
    const { id } = await findKey(controlPlane, named)
    const { apiKey } = await controlPlane.change(RevokeApiKeyDocument, { id })
    io.print({ key: apiKey }, () => `Revoked key ${apiKey.prefix} of ${ownerOf(apiKey)}.`)
  })

const rotateKey = (named: string, options: ControlOptions & { overlap: number }): Promise<void> =>
  perform(options, async (io) => {
    const controlPlane = await openControlPlane(options, io)
    const { id } = await findKey(controlPlane, named)
    const input = { id, overlapSeconds: options.overlap }
    const { secret, apiKey, replaced } = await controlPlane.change(RotateApiKeyDocument, { input })
    const until = formatTime(replaced.expiresAt)
    io.note(`Key ${apiKey.prefix} takes the place of ${replaced.prefix}, which ends ${until}:`)
    io.print({ key: apiKey, replaced, secret }, () => secret)
  })

/** A whole key has no place in a process list or a shell's history, so it is not even looked up. */
const findKey = async ({ ask }: ControlPlane, named: string): Promise<Key> => {
  if (/^pk_[a-z0-9]+_./.test(named)) {
    throw new UsageError('That is a whole key. Name it by its prefix or id: punica key list')
  }
  const prefix = named.replace(/^pk_/, '')
  const read = async (variables: { search: string | null }): Promise<Key | undefined> => {
    const keys = await readPages(
      async (page) => (await ask(ApiKeysDocument, { ...variables, ...page })).apiKeys,
    )
    return keys.find((key) => key.id === named || key.prefix === prefix || key.prefix === named)
  }
  // By prefix the server finds it; only an id needs the whole list.
  const found = (await read({ search: prefix })) ?? (await read({ search: null }))
  if (found !== undefined) return found
  throw new AppError('not_found', `There is no key ${named}; punica key list shows them`)
}

const ownerOf = ({ tenant }: Key): string => tenant?.slug ?? 'the operators'

const columns: Column<Key>[] = [
  { title: 'PREFIX', cell: ({ prefix }) => prefix },
  { title: 'TENANT', cell: ({ tenant }) => tenant?.slug ?? '(operator)' },
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'SCOPES', cell: (key) => key.scopes.join(',').toLowerCase() || '(all)' },
  { title: 'STATE', cell: ({ state }) => state.toLowerCase() },
  { title: 'EXPIRES', cell: ({ expiresAt }) => formatTime(expiresAt) },
  { title: 'LAST USED', cell: ({ lastUsedAt }) => formatTime(lastUsedAt) },
  { title: 'ID', cell: ({ id }) => id },
]
