import { Plus } from 'lucide-react'
import { useState } from 'react'
import { useQuery } from 'urql'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/empty.tsx'
import { PageFoot, usePaging } from '../../components/pages.tsx'
import { Panel } from '../../components/panel.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { formatAgo, formatDateTime } from '../../format.ts'
import { ApiKeysDocument, type ApiKeysQuery } from '../../generated/graphql.ts'
import { CreateKeyDialog, RevokeKeyDialog, RotateKeyDialog } from './api-key-dialogs.tsx'
import { CredentialState } from './credential-state.tsx'

export type ApiKey = ApiKeysQuery['apiKeys']['edges'][number]['node']
type Asked = { what: 'create' } | { what: 'rotate' | 'revoke'; apiKey: ApiKey }

const pageSize = 50

const columns: Column<ApiKey, never>[] = [
  { title: 'Name', cell: ({ name }) => name },
  { title: 'Key', isExtra: true, cell: ({ prefix }) => <code>pk_{prefix}…</code> },
  { title: 'State', cell: ({ state }) => <CredentialState state={state} /> },
  {
    title: 'May',
    isExtra: true,
    cell: ({ scopes }) => scopes.map((scope) => scopeWords[scope]).join(', '),
  },
  {
    title: 'Last used',
    isExtra: true,
    cell: ({ lastUsedAt }) => (
      <span className="quiet">{lastUsedAt === null ? 'not yet' : formatAgo(lastUsedAt)}</span>
    ),
  },
  {
    title: 'Expires',
    isExtra: true,
    cell: ({ expiresAt }) => (
      <span className="quiet">{expiresAt === null ? 'never' : formatDateTime(expiresAt)}</span>
    ),
  },
  {
    title: 'Created',
    isExtra: true,
    cell: ({ createdAt }) => <span className="quiet">{formatAgo(createdAt)}</span>,
  },
]

const scopeWords = { GENERATE: 'generate', ADMIN: 'administer' } as const

/** The keys of a tenant. A key itself is shown once, when it is made. */
export const ApiKeys = ({ tenant }: { tenant: string }) => {
  const [asked, setAsked] = useState<Asked | null>(null)
  const paging = usePaging(tenant, pageSize)
  const query = useQuery({
    query: ApiKeysDocument,
    variables: { tenant, first: pageSize, after: paging.after },
  })
  const close = (): void => {
    setAsked(null)
    query[1]({ requestPolicy: 'network-only' })
  }
  const actions: Column<ApiKey, never> = {
    title: 'Actions',
    cell: (apiKey) => apiKey.state === 'ACTIVE' && <KeyActions apiKey={apiKey} onAsk={setAsked} />,
  }
  return (
    <Panel
      title="API keys"
      isFlush
      tools={
        <button
          type="button"
          className="button primary"
          onClick={() => setAsked({ what: 'create' })}
        >
          <Plus size={14} aria-hidden />
          Create a key
        </button>
      }
    >
      <QueryView query={query}>
        {({ apiKeys: { edges, totalCount, pageInfo } }) =>
          edges.length === 0 ? (
            <Empty title="There is no key yet">Programs and people sign in with keys.</Empty>
          ) : (
            <>
              <DataTable
                label="API keys"
                columns={[...columns, actions]}
                rows={edges.map(({ node }) => node)}
                keyOf={({ id }) => id}
              />
              <PageFoot
                paging={paging}
                numRows={edges.length}
                total={totalCount}
                pageInfo={pageInfo}
              />
            </>
          )
        }
      </QueryView>
      {asked?.what === 'create' && <CreateKeyDialog tenant={tenant} onClose={close} />}
      {asked?.what === 'rotate' && <RotateKeyDialog apiKey={asked.apiKey} onClose={close} />}
      {asked?.what === 'revoke' && <RevokeKeyDialog apiKey={asked.apiKey} onClose={close} />}
    </Panel>
  )
}

type ActionsProps = { apiKey: ApiKey; onAsk: (asked: Asked) => void }

const KeyActions = ({ apiKey, onAsk }: ActionsProps) => (
  <>
    <button
      type="button"
      className="button plain"
      onClick={() => onAsk({ what: 'rotate', apiKey })}
    >
      Rotate<span className="unseen"> {apiKey.name}</span>
    </button>
    <button
      type="button"
      className="button plain danger"
      onClick={() => onAsk({ what: 'revoke', apiKey })}
    >
      Revoke<span className="unseen"> {apiKey.name}</span>
    </button>
  </>
)
