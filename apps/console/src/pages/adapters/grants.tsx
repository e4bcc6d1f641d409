import { Plus } from 'lucide-react'
import { useState } from 'react'
import { Confirm } from '../../components/confirm.tsx'
import { Empty } from '../../components/empty.tsx'
import { Field } from '../../components/field.tsx'
import { Modal } from '../../components/modal.tsx'
import { Panel } from '../../components/panel.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { TenantField } from '../../components/tenant-field.tsx'
import { useToast } from '../../components/toasts.tsx'
import type { Problem } from '../../connection/problem.ts'
import { useAction } from '../../connection/use-action.ts'
import { GrantAdapterDocument, RevokeAdapterGrantDocument } from '../../generated/graphql.ts'
import { useRights } from '../../session/context.tsx'
import type { Adapter, PartProps } from './adapter.tsx'

type Props = PartProps & { grants: NonNullable<Adapter['grants']> }

/** Which other tenants may use the adapter. */
export const Grants = ({ grants, ...props }: Props) => {
  const { adapter, mayChange, refresh } = props
  const [isAdding, setIsAdding] = useState(false)
  const [revoked, setRevoked] = useState<string | null>(null)
  const [revoke] = useAction(RevokeAdapterGrantDocument)
  const toast = useToast()
  return (
    <Panel
      title="Granted to"
      isFlush
      tools={
        mayChange && (
          <button type="button" className="button" onClick={() => setIsAdding(true)}>
            <Plus size={14} aria-hidden />
            Grant
          </button>
        )
      }
    >
      {grants.length === 0 ? (
        <Empty title="To nobody else" />
      ) : (
        <ul className="grants">
          {grants.map(({ id, slug, name }) => (
            <li key={id}>
              {slug} <span className="quiet">{name}</span>
              {mayChange && (
                <button
                  type="button"
                  className="button plain danger spread"
                  onClick={() => setRevoked(slug)}
                >
                  Revoke<span className="unseen"> the grant to {slug}</span>
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {isAdding && <GrantDialog {...props} onClose={() => setIsAdding(false)} />}
      {revoked !== null && (
        <Confirm
          title={`Revoke the grant to ${revoked}?`}
          action="Revoke"
          isDangerous
          onClose={() => setRevoked(null)}
          onConfirm={async () => {
            const input = { tenant: adapter.tenant.slug, name: adapter.name, to: revoked }
            const outcome = await revoke({ input })
            if (!outcome.ok) return outcome.problem
            toast(`${revoked} may not use it any more`)
            refresh()
            return null
          }}
        >
          <p>New requests of {revoked} for this adapter are refused. Those that run go on.</p>
        </Confirm>
      )}
    </Panel>
  )
}

const GrantDialog = ({ adapter, refresh, onClose }: PartProps & { onClose: () => void }) => {
  const { isOperator } = useRights()
  const [to, setTo] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [grant, isGranting] = useAction(GrantAdapterDocument)
  const toast = useToast()
  const fault = problem?.field === 'to' ? problem.message : null
  const submit = async (): Promise<void> => {
    const outcome = await grant({ input: { tenant: adapter.tenant.slug, name: adapter.name, to } })
    if (!outcome.ok) return setProblem(outcome.problem)
    toast(`${to} may use ${adapter.name}`)
    refresh()
    onClose()
  }
  return (
    <Modal
      title={`Grant ${adapter.name}`}
      description={`The other tenant asks for it as ${adapter.tenant.slug}/${adapter.name}; its requests are billed to it.`}
      onClose={onClose}
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        {isOperator ? (
          <TenantField value={to} onChange={setTo} fault={fault} />
        ) : (
          <Field label="Tenant" hint="Its short name (slug)." fault={fault}>
            {(control) => (
              <input
                {...control}
                className="input"
                required
                spellCheck={false}
                value={to}
                onChange={({ target }) => setTo(target.value)}
              />
            )}
          </Field>
        )}
        {problem !== null && fault === null && <ProblemNote problem={problem} />}
        <div className="modal-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={isGranting}>
            Grant
          </button>
        </div>
      </form>
    </Modal>
  )
}
