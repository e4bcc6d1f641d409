import { stat } from 'node:fs/promises'
import path from 'node:path'
import { toError, uploadFile } from './upload-file.ts'

/** A publication waits for a node that fetches, loads and tries the adapter. */
const timeoutMs = 10 * 60_000
const adapterFiles = ['adapter_config.json', 'adapter_model.safetensors']

export type Admin = {
  /** One GraphQL operation; rejects with AppError for what the server refuses. */
  graphql<T>(query: string, variables?: Record<string, unknown>): Promise<T>
  createTenant(input: { slug: string; name: string }): Promise<void>
  /** The whole key; it cannot be read again. */
  createApiKey(input: {
    tenant: string
    name: string
    scopes: ('GENERATE' | 'ADMIN')[]
    expiresAt?: string
  }): Promise<{ id: string; secret: string }>
  createNatsCredential(input: {
    tenant: string
    name: string
  }): Promise<{ creds: string; inboxPrefix: string }>
  /** Writes what of the catalog differs from the database; returns the number of such records. */
  rebuildCatalog(): Promise<number>
  /** Uploads a PEFT folder and publishes it as the newest version of the adapter. */
  pushAdapter(input: {
    tenant: string
    name: string
    baseModel: string
    folder: string
  }): Promise<{ version: number; digest: string; rank: number }>
}

/** The control plane as one key sees it. */
export const connectAdmin = ({ url, key }: { url: string; key: string }): Admin => {
  const authorization = `Bearer ${key}`

  const graphql: Admin['graphql'] = async <T>(query: string, variables = {}): Promise<T> => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(timeoutMs),
    })
    const { data, errors: problems } = await response.json()
    const problem = problems?.[0]
    if (problem !== undefined) throw toError(problem.extensions?.code, problem.message)
    return data
  }

  /** A mutation with the field `result`, whose union has a ProblemError. */
  const mutate = async <T>(query: string, input: Record<string, unknown>): Promise<T> => {
    const { result } = await graphql<{ result: T & Partial<Problem> }>(query, { input })
    if (result.__typename === 'ProblemError') {
      throw toError(result.code, result.message ?? 'refused', result.field)
    }
    return result
  }

  return {
    graphql,
    createTenant: async (input) => {
      await mutate(createTenant, input)
    },
    createApiKey: async (input) => {
      const { apiKey, secret } = await mutate<{ apiKey: { id: string }; secret: string }>(
        createApiKey,
        input,
      )
      return { id: apiKey.id, secret }
    },
    createNatsCredential: (input) => mutate(createNatsCredential, input),
    rebuildCatalog: async () => {
      const { result } = await graphql<{ result: Partial<Problem> & { changed?: number } }>(
        rebuildCatalog,
      )
      if (result.changed !== undefined) return result.changed
      throw toError(result.code, result.message ?? 'refused')
    },
    pushAdapter: async ({ folder, ...input }) => {
      for (const name of adapterFiles) await stat(path.join(folder, name))
      const { upload } = await mutate<{ upload: Upload }>(createAdapterUpload, input)
      for (const { name, url: fileUrl } of upload.files) {
        await uploadFile({ url: fileUrl, path: path.join(folder, name), authorization })
      }
      const { version } = await mutate<{ version: Version }>(publishAdapter, {
        uploadId: upload.id,
      })
      return version
    },
  }
}

type Problem = { __typename: string; code: string; message: string; field: string | null }
type Upload = { id: string; files: { name: string; url: string }[] }
type Version = { version: number; digest: string; rank: number }

const problem = '... on ProblemError { __typename code message field }'

const createTenant = `mutation CreateTenant($input: CreateTenantInput!) {
  result: createTenant(input: $input) { __typename ${problem} }
}`

const createApiKey = `mutation CreateApiKey($input: CreateApiKeyInput!) {
  result: createApiKey(input: $input) {
    __typename
    ... on CreateApiKeyPayload { secret apiKey { id } }
    ${problem}
  }
}`

const createNatsCredential = `mutation CreateNatsCredential($input: CreateNatsCredentialInput!) {
  result: createNatsCredential(input: $input) {
    __typename
    ... on CreateNatsCredentialPayload { creds inboxPrefix }
    ${problem}
  }
}`

const rebuildCatalog = `mutation RebuildCatalog {
  result: rebuildCatalog { ... on RebuildCatalogPayload { changed } ${problem} }
}`

const createAdapterUpload = `mutation CreateAdapterUpload($input: CreateAdapterUploadInput!) {
  result: createAdapterUpload(input: $input) {
    __typename
    ... on CreateAdapterUploadPayload { upload { id files { name url } } }
    ${problem}
  }
}`

const publishAdapter = `mutation PublishAdapter($input: PublishAdapterInput!) {
  result: publishAdapter(input: $input) {
    __typename
    ... on PublishAdapterPayload { version { version digest rank } }
    ${problem}
  }
}`
