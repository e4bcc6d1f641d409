import { z } from 'zod'

/** A name that may stand in a URL, a NATS subject and a key: tenants, pools, nodes, gateways. */
export const Slug = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and inner hyphens')
export type Slug = z.infer<typeof Slug>

/** The name of an adapter or base model inside its tenant. */
export const ModelName = z
  .string()
  .regex(
    /^(?!.*\.\.)[a-z0-9](?:[a-z0-9._-]{0,94}[a-z0-9])?$/,
    'must be 1 to 96 of a-z, 0-9 and inner dots, hyphens and underscores',
  )
export type ModelName = z.infer<typeof ModelName>

/** A name for versions of an adapter, asked for as `adapter@alias`; a number there is a version. */
export const AliasName = z
  .string()
  .regex(
    /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    'must be 1 to 63 of a-z, 0-9 and inner hyphens, beginning with a letter',
  )
export type AliasName = z.infer<typeof AliasName>

/** The alias that an adapter's bare name stands for. */
export const defaultAlias = 'default'

/** sha256 in lower-case hex: the identity of everything below the catalog. */
export const Digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be a sha256 in lower-case hex')
export type Digest = z.infer<typeof Digest>

/** Of W3C Trace Context: the span of another program that what arrives is a part of. */
export const Traceparent = z
  .string()
  .regex(
    /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/,
    'must be a W3C traceparent of version 00',
  )
export type Traceparent = z.infer<typeof Traceparent>

export const RequestId = z.string().min(1).max(64)
export type RequestId = z.infer<typeof RequestId>
