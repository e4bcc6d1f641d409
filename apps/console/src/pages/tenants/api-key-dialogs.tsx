import { useState } from 'react'
import { Confirm } from '../../components/confirm.tsx'
import { Field } from '../../components/field.tsx'
import { Modal } from '../../components/modal.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { Secret } from '../../components/secret.tsx'
import { useToast } from '../../components/toasts.tsx'
import type { Problem } from '../../connection/problem.ts'
import { useAction } from '../../connection/use-action.ts'
import {
  CreateApiKeyDocument,
  RevokeApiKeyDocument,
  RotateApiKeyDocument,
  type Scope,
} from '../../generated/graphql.ts'
import type { ApiKey } from './api-keys.tsx'
import { ExpiryField, toExpiry } from './expiry-field.tsx'

type SecretProps = { name: string; secret: string; onClose: () => void }

const NewKey = ({ name, secret, onClose }: SecretProps) => (
  <Modal title={`Key ${name}`} onClose={onClose}>
    <Secret label="API key" value={secret} />
    <div className="modal-actions">
      <button type="button" className="button" onClick={onClose}>
        Done
      </button>
    </div>
  </Modal>
)

export const CreateKeyDialog = ({ tenant, onClose }: { tenant: string; onClose: () => void }) => {
  const [name, setName] = useState('')
  const [isAdmin, setIsAdmin] = useState(false)
  const [days, setDays] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [secret, setSecret] = useState<string | null>(null)
  const [create, isCreating] = useAction(CreateApiKeyDocument)
  if (secret !== null) return <NewKey name={name} secret={secret} onClose={onClose} />
  const submit = async (): Promise<void> => {
    const scopes: Scope[] = isAdmin ? ['GENERATE', 'ADMIN'] : ['GENERATE']
    const outcome = await create({ input: { tenant, name, scopes, expiresAt: toExpiry(days) } })
    if (outcome.ok) setSecret(outcome.payload.secret)
    else setProblem(outcome.problem)
  }
  return (
    <Modal title="Create a key" onClose={onClose}>
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
        <label className="check">
          <input
            type="checkbox"
            checked={isAdmin}
            onChange={({ target }) => setIsAdmin(target.checked)}
          />
          May administer the tenant: keys, adapters, grants
        </label>
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

type DialogProps = { apiKey: ApiKey; onClose: () => void }

const overlaps: [title: string, seconds: number][] = [
  ['For an hour', 3_600],
  ['For a day', 86_400],
  ['For a week', 604_800],
  ['Not at all', 0],
]

export const RotateKeyDialog = ({ apiKey, onClose }: DialogProps) => {
  const [overlapSeconds, setOverlapSeconds] = useState(3_600)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [secret, setSecret] = useState<string | null>(null)
  const [rotate, isRotating] = useAction(RotateApiKeyDocument)
  if (secret !== null) return <NewKey name={apiKey.name} secret={secret} onClose={onClose} />
  const submit = async (): Promise<void> => {
    const outcome = await rotate({ input: { id: apiKey.id, overlapSeconds } })
    if (outcome.ok) setSecret(outcome.payload.secret)
    else setProblem(outcome.problem)
  }
  return (
    <Modal
      title={`Rotate ${apiKey.name}?`}
      description="A new key takes its place, with the same rights and lifetime."
      onClose={onClose}
    >
      <Field label="The old key still holds">
        {(control) => (
          <select
            {...control}
            className="select"
            value={overlapSeconds}
            onChange={({ target }) => setOverlapSeconds(Number(target.value))}
          >
            {overlaps.map(([title, seconds]) => (
              <option key={seconds} value={seconds}>
                {title}
              </option>
            ))}
          </select>
        )}
      </Field>
      {problem !== null && <ProblemNote problem={problem} />}
      <div className="modal-actions">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="button primary" disabled={isRotating} onClick={submit}>
          Rotate
        </button>
      </div>
    </Modal>
  )
}

export const RevokeKeyDialog = ({ apiKey, onClose }: DialogProps) => {
  const [revoke] = useAction(RevokeApiKeyDocument)
  const toast = useToast()
  return (
    <Confirm
      title={`Revoke ${apiKey.name}?`}
      action="Revoke"
      isDangerous
      onClose={onClose}
      onConfirm={async () => {
        const outcome = await revoke({ id: apiKey.id })
        if (!outcome.ok) return outcome.problem
        toast(`${apiKey.name} is revoked`)
        return null
      }}
    >
      <p>
        <code>pk_{apiKey.prefix}…</code> is refused from now on, here and at every gateway. It
        cannot be taken back.
      </p>
    </Confirm>
  )
}
