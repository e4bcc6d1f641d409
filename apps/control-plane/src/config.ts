import { ModelName, Slug } from '@punica/schema'
import { z } from 'zod'
import { parseKey } from './keys/api-key.ts'

const List = (separator: string) =>
  z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(separator)
        .map((entry) => entry.trim())
        .filter((entry) => entry !== ''),
    )

export const Config = z
  .object({
    DATABASE_URL: z.string().min(1),
    NATS_URL: z.string().default('nats://127.0.0.1:4222'),
    /** Path of a .creds file. */
    NATS_CREDS: z.string().optional(),
    /** `s3://bucket/prefix` (packages/object-store/src/s3-store.ts); absent: NATS keeps the files. */
    OBJECT_STORE_URL: z.url({ protocol: /^s3$/ }).optional(),
    HOST: z.string().default('127.0.0.1'),
    /** 0 picks a free one. */
    PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
    /** Where clients reach this server; by default where it listens. */
    PUBLIC_URL: z
      .url()
      .transform((url) => url.replace(/\/+$/, ''))
      .optional(),
    /** An operator's API key that holds from the start. */
    OPERATOR_KEY: z
      .string()
      .refine((key) => parseKey(key) !== null, 'must be pk_<12 of a-z0-9>_<43 of base64url>')
      .optional(),
    /** Signs NATS credentials of tenants. */
    NATS_ACCOUNT_SEED: z.string().optional(),
    /** Signs the claims of that account, and so revokes credentials; with NATS_SYSTEM_CREDS. */
    NATS_OPERATOR_SEED: z.string().optional(),
    /** Path of a .creds file of nats-server's system account. */
    NATS_SYSTEM_CREDS: z.string().optional(),
    /** A Hugging Face folder; its config.json says the shape of the base model. */
    MODEL_FOLDER: z.string().optional(),
    BASE_MODEL: ModelName.optional(),
    /** The built web console; absent: it is not served. */
    CONSOLE_FOLDER: z.string().optional(),
    /** The pool that serves the base model. */
    POOL: Slug.default('default'),
    /** Folders below which operators may import adapters from, with `:` between them. */
    IMPORT_ROOTS: List(':'),
    /** Hosts from which adapters may be imported, with `,` between them: `*.hf.co` is any below. */
    IMPORT_HOSTS: List(','),
    /** Whether such a host may have a private address. */
    IMPORT_PRIVATE_ADDRESSES: z.stringbool().default(false),
    /** How long the publication of an adapter waits for a node that tries it. */
    PROBE_WAIT_MS: z.coerce.number().int().positive().default(30_000),
  })
  .refine((env) => (env.MODEL_FOLDER === undefined) === (env.BASE_MODEL === undefined), {
    path: ['BASE_MODEL'],
    message: 'MODEL_FOLDER and BASE_MODEL go together',
  })
  .refine(
    (env) => (env.NATS_OPERATOR_SEED === undefined) === (env.NATS_SYSTEM_CREDS === undefined),
    {
      path: ['NATS_SYSTEM_CREDS'],
      message: 'NATS_OPERATOR_SEED and NATS_SYSTEM_CREDS go together',
    },
  )
  .refine((env) => env.NATS_OPERATOR_SEED === undefined || env.NATS_ACCOUNT_SEED !== undefined, {
    path: ['NATS_ACCOUNT_SEED'],
    message: 'NATS_OPERATOR_SEED needs NATS_ACCOUNT_SEED, which says for which account',
  })
  .transform((env) => ({
    databaseUrl: env.DATABASE_URL,
    natsUrl: env.NATS_URL,
    natsCreds: env.NATS_CREDS,
    objectStoreUrl: env.OBJECT_STORE_URL,
    host: env.HOST,
    port: env.PORT,
    publicUrl: env.PUBLIC_URL,
    operatorKey: env.OPERATOR_KEY,
    natsAccountSeed: env.NATS_ACCOUNT_SEED,
    natsOperatorSeed: env.NATS_OPERATOR_SEED,
    natsSystemCreds: env.NATS_SYSTEM_CREDS,
    consoleFolder: env.CONSOLE_FOLDER,
    imports: {
      roots: env.IMPORT_ROOTS,
      hosts: env.IMPORT_HOSTS,
      allowPrivate: env.IMPORT_PRIVATE_ADDRESSES,
    },
    probeWaitMs: env.PROBE_WAIT_MS,
    baseModel:
      env.MODEL_FOLDER === undefined || env.BASE_MODEL === undefined
        ? null
        : { name: env.BASE_MODEL, folder: env.MODEL_FOLDER, pool: env.POOL },
  }))
export type Config = z.output<typeof Config>
