import { Plus } from 'lucide-react'
import { useState } from 'react'
import { useQuery } from 'urql'
import { Confirm } from '../../components/confirm.tsx'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/empty.tsx'
import { Field } from '../../components/field.tsx'
import { Modal } from '../../components/modal.tsx'
import { PageFoot, usePaging } from '../../components/pages.tsx'
import { Panel } from '../../components/panel.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { Secret } from '../../components/secret.tsx'
import { useToast } from '../../components/toasts.tsx'
import type { Problem } from '../../connection/problem.ts'
import { useAction } from '../../connection/use-action.ts'
import { formatAgo, formatDateTime } from '../../format.ts'
import {
  CreateNatsCredentialDocument,
  NatsCredentialsDocument,
  type NatsCredentialsQuery,
  RevokeNatsCredentialDocument,
} from '../../generated/graphql.ts'
import { CredentialState } from './credential-state.tsx'
import { ExpiryField, toExpiry } from './expiry-field.tsx'

type Credential = NatsCredentialsQuery['natsCredentials']['edges'][number]['node']

const pageSize = 50

const columns: Column<Credential, never>[] = [
  { title: 'Name', cell: ({ name }) => name },
  {
    title: 'User',
    isExtra: true,
    cell: ({ publicKey }) => <code title={publicKey}>{publicKey.slice(0, 12)}…</code>,
  },
  { title: 'State', cell: ({ state }) => <CredentialState state={state} /> },
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

/** The NATS users of a tenant: each reaches the tenant's own subjects and inboxes and no others. */
export const NatsCredentials = ({ tenant }: { tenant: string }) => {
  const [isCreating, setIsCreating] = useState(false)
  const [revoked, setRevoked] = useState<Credential | null>(null)
  const paging = usePaging(tenant, pageSize)
  const query = useQuery({
    query: NatsCredentialsDocument,
    variables: { tenant, first: pageSize, after: paging.after },
  })
  const close = (): void => {
    setIsCreating(false)
    setRevoked(null)
    query[1]({ requestPolicy: 'network-only' })
  }
  const actions: Column<Credential, never> = {
    title: 'Actions',
    cell: (credential) =>
      credential.state === 'ACTIVE' && (
        <button
          type="button"
          className="button plain danger"
          onClick={() => setRevoked(credential)}
        >
          Revoke<span className="unseen"> {credential.name}</span>
        </button>
      ),
  }
  return (
    <Panel
      title="NATS credentials"
      isFlush
      tools={
        <button type="button" className="button primary" onClick={() => setIsCreating(true)}>
          <Plus size={14} aria-hidden />
          Create a credential
        </button>
      }
    >
      <QueryView query={query}>
        {({ natsCredentials: { edges, totalCount, pageInfo } }) =>
          edges.length === 0 ? (
            <Empty title="There is no credential yet">
              A program that speaks NATS needs one beside its API key.
            </Empty>
          ) : (
            <>
              <DataTable
                label="NATS credentials"
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
      {isCreating && <CreateDialog tenant={tenant} onClose={close} />}
      {revoked !== null && <RevokeDialog credential={revoked} onClose={close} />}
    </Panel>
  )
}

const CreateDialog = ({ tenant, onClose }: { tenant: string; onClose: () => void }) => {
  const [name, setName] = useState('')
  const [days, setDays] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [made, setMade] = useState<{ creds: string; inboxPrefix: string } | null>(null)
  const [create, isCreating] = useAction(CreateNatsCredentialDocument)
  if (made !== null) {
    return (
      <Modal
        title={`Credential ${name}`}
        description={
          <>
            Replies come below <code>{made.inboxPrefix}</code>: set it as the inbox prefix of the
            connection.
          </>
        }
        onClose={onClose}
      >
        <Secret label="Credentials file" value={made.creds} fileName={`${tenant}.creds`} />
      </Modal>
    )
  }
  const submit = async (): Promise<void> => {
    const outcome = await create({ input: { tenant, name, expiresAt: toExpiry(days) } })
    if (outcome.ok) setMade(outcome.payload)
    else setProblem(outcome.problem)
  }
  return (
    <Modal title="Create a NATS credential" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        <Field
          label="Name"
          hint="What uses it."
          fault={problem?.field === 'name' ? problem.message : null}
        >
          {(control) => (
            <input
              {...control}
              className="input"
              required
              value={name}
              onChange={({ target }) => setName(target.value)}
            />
          )}
        </Field>
        <ExpiryField value={days} onChange={setDays} />
        {problem !== null && <ProblemNote problem={problem} />}
        <div className="modal-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={isCreating}>
            Create
          </button>
        </div>
      </form>
    </Modal>
  )
}

const RevokeDialog = ({ credential, onClose }: { credential: Credential; onClose: () => void }) => {
  const [revoke] = useAction(RevokeNatsCredentialDocument)
  const toast = useToast()
  return (
    <Confirm
      title={`Revoke ${credential.name}?`}
      action="Revoke"
      isDangerous
      onClose={onClose}
      onConfirm={async () => {
        const outcome = await revoke({ input: { id: credential.id } })
        if (!outcome.ok) return outcome.problem
        toast(`${credential.name} is revoked`)
        return null
      }}
    >
      <p>Its connections are closed and new ones refused. It cannot be taken back.</p>
    </Confirm>
  )
}
