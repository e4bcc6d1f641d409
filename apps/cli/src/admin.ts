import { connectControlPlane } from './control-plane/connect.ts'
import { pushAdapter } from './control-plane/push-adapter.ts'
import {
  CreateApiKeyDocument,
  CreateNatsCredentialDocument,
  CreateTenantDocument,
  RebuildCatalogDocument,
  type Scope,
} from './generated/graphql.ts'

export type Admin = {
  /** One GraphQL operation; rejects with AppError for what the server refuses. */
  graphql<T>(query: string, variables?: Record<string, unknown>): Promise<T>
  createTenant(input: { slug: string; name: string }): Promise<void>
  /** The whole key; it cannot be read again. */
  createApiKey(input: {
    tenant: string
    name: string
    scopes: Scope[]
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
  const controlPlane = connectControlPlane({ url, key })
  const { change } = controlPlane
  return {
    graphql: (query, variables = {}) => controlPlane.execute(query, variables),
    createTenant: async (input) => {
      await change(CreateTenantDocument, { input })
    },
    createApiKey: async (input) => {
      const { apiKey, secret } = await change(CreateApiKeyDocument, { input })
      return { id: apiKey.id, secret }
    },
    createNatsCredential: (input) => change(CreateNatsCredentialDocument, { input }),
    rebuildCatalog: async () => (await change(RebuildCatalogDocument, {})).changed,
    pushAdapter: (input) => pushAdapter(controlPlane, input),
  }
}
