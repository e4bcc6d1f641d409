import path from 'node:path'
import { ModelName, Slug } from '@punica/schema'
import { z } from 'zod'

const cpuPoolBytes = 256 * 1024 ** 2

const Count = z.coerce.number().int().positive()
const Bytes = z.coerce.number().int().positive()

export const Config = z
  .object({
    NATS_URL: z.string().min(1).default('nats://127.0.0.1:4222'),
    /** Path of a .creds file; of a node that joins, where it keeps what it got. */
    NATS_CREDS: z.string().min(1).optional(),
    /** The control plane, of which a node that has no credential yet gets one by a join token. */
    CONTROL_PLANE_URL: z
      .url({ protocol: /^https?$/ })
      .transform((url) => url.replace(/\/+$/, ''))
      .optional(),
    JOIN_TOKEN: z.string().min(1).optional(),
    /** Path of a file with the token, instead of the token. */
    JOIN_TOKEN_FILE: z.string().min(1).optional(),
    /** As of the control plane: where the files of adapters are. */
    OBJECT_STORE_URL: z.url({ protocol: /^s3$/ }).optional(),
    POOL: Slug.default('default'),
    NODE_ID: Slug,
    /** The name by which the pool's router knows what is in MODEL_FOLDER. */
    BASE_MODEL: ModelName,
    /** A Hugging Face folder: config.json and safetensors. */
    MODEL_FOLDER: z.string().min(1),
    /** `auto`: a GPU where there is one, else the CPU; the node's description says which and why. */
    BACKEND: z.enum(['cpu', 'cuda', 'auto']).default('cpu'),
    /** Which of the machine's GPUs, counted from 0. */
    DEVICE: z.coerce.number().int().min(0).max(1_024).default(0),
    /** Of the CPU backend; absent: as many as there are cores. */
    NUM_THREADS: Count.max(1_024).optional(),
    /**
     * Memory for KV pages and adapters together. Absent: 256 MiB on the CPU; on a GPU what the model
     * leaves of MEMORY_FRACTION of its memory.
     */
    POOL_BYTES: Bytes.optional(),
    MEMORY_FRACTION: z.coerce.number().positive().max(1).default(0.9),
    /** Host memory for loaded adapters. */
    HOST_ADAPTER_BYTES: Bytes.default(512 * 1024 ** 2),
    /** Sequences of one step. Punica measured 32 on its GPUs. */
    MAX_BATCH_SIZE: Count.max(4_096).default(32),
    /** Rows of one step: decode rows first, then chunks of prompts. */
    MAX_STEP_TOKENS: Count.default(512),
    /** Time of a step that chunks of prompts keep to while other requests decode; absent: any. */
    TARGET_STEP_MS: z.coerce.number().positive().optional(),
    /** Adapters that were fetched are kept here, below the node's id. */
    DATA_DIR: z.string().min(1).default('.punica'),
    DISK_CACHE_BYTES: Bytes.default(10 * 1024 ** 3),
  })
  .refine((env) => env.JOIN_TOKEN === undefined || env.JOIN_TOKEN_FILE === undefined, {
    path: ['JOIN_TOKEN_FILE'],
    message: 'JOIN_TOKEN and JOIN_TOKEN_FILE exclude each other',
  })
  .refine(
    (env) =>
      (env.CONTROL_PLANE_URL === undefined) ===
      (env.JOIN_TOKEN === undefined && env.JOIN_TOKEN_FILE === undefined),
    {
      path: ['CONTROL_PLANE_URL'],
      message: 'CONTROL_PLANE_URL and JOIN_TOKEN or JOIN_TOKEN_FILE go together',
    },
  )
  .transform((env) => ({
    natsUrl: env.NATS_URL,
    ...joinOf(env),
    objectStoreUrl: env.OBJECT_STORE_URL,
    pool: env.POOL,
    nodeId: env.NODE_ID,
    baseModel: env.BASE_MODEL,
    dataFolder: env.DATA_DIR,
    diskCacheBytes: env.DISK_CACHE_BYTES,
    maxBatchSize: env.MAX_BATCH_SIZE,
    engine: {
      modelFolder: env.MODEL_FOLDER,
      backend: env.BACKEND,
      device: env.DEVICE,
      ...poolOf(env),
      hostAdapterBytes: env.HOST_ADAPTER_BYTES,
      maxBatchSize: env.MAX_BATCH_SIZE,
      maxStepTokens: env.MAX_STEP_TOKENS,
      ...(env.TARGET_STEP_MS === undefined ? {} : { targetStepMs: env.TARGET_STEP_MS }),
      ...(env.NUM_THREADS === undefined ? {} : { numThreads: env.NUM_THREADS }),
    },
  }))
export type Config = z.output<typeof Config>

type JoinSettings = {
  NATS_CREDS?: string | undefined
  CONTROL_PLANE_URL?: string | undefined
  JOIN_TOKEN?: string | undefined
  JOIN_TOKEN_FILE?: string | undefined
  DATA_DIR: string
  NODE_ID: string
}

type Join = { url: string } & (
  | { token: string; tokenFile?: undefined }
  | { token?: undefined; tokenFile: string }
)

const joinOf = (
  env: JoinSettings,
): { natsCredentialsFile: string | undefined; join: Join | null } => {
  const { CONTROL_PLANE_URL: url, JOIN_TOKEN: token, JOIN_TOKEN_FILE: tokenFile } = env
  if (url === undefined) return { natsCredentialsFile: env.NATS_CREDS, join: null }
  const natsCredentialsFile = env.NATS_CREDS ?? path.join(env.DATA_DIR, `${env.NODE_ID}.creds`)
  if (token !== undefined) return { natsCredentialsFile, join: { url, token } }
  return { natsCredentialsFile, join: tokenFile === undefined ? null : { url, tokenFile } }
}

const poolOf = (env: {
  BACKEND: 'cpu' | 'cuda' | 'auto'
  POOL_BYTES?: number | undefined
  MEMORY_FRACTION: number
}) => {
  if (env.POOL_BYTES !== undefined) return { poolBytes: env.POOL_BYTES }
  if (env.BACKEND === 'cpu') return { poolBytes: cpuPoolBytes }
  return { memoryFraction: env.MEMORY_FRACTION }
}
