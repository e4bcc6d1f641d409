import { useState } from 'react'
import { useQuery } from 'urql'
import { Field } from '../../components/field.tsx'
import { Modal } from '../../components/modal.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { Secret } from '../../components/secret.tsx'
import type { Problem } from '../../connection/problem.ts'
import { useAction } from '../../connection/use-action.ts'
import { CreateNodeJoinTokenDocument, PoolsDocument } from '../../generated/graphql.ts'

/** Makes a token by which new nodes get their credentials. */
export const JoinDialog = ({ onClose }: { onClose: () => void }) => {
  const [name, setName] = useState('')
  const [pool, setPool] = useState<string | null>(null)
  const [maxUses, setMaxUses] = useState('1')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [secret, setSecret] = useState<string | null>(null)
  const [{ data }] = useQuery({ query: PoolsDocument })
  const [create, isCreating] = useAction(CreateNodeJoinTokenDocument)
  const pools = data?.pools ?? []

  if (secret !== null) {
    return (
      <Modal
        title="Join token"
        description="Give it to the new node. It holds for an hour."
        onClose={onClose}
      >
        <Secret label="Token" value={secret} />
      </Modal>
    )
  }
  const submit = async (): Promise<void> => {
    const chosen = pool ?? pools[0]?.name ?? ''
    const input = { name, pool: chosen, maxUses: Number(maxUses) }
    const outcome = await create({ input })
    if (outcome.ok) setSecret(outcome.payload.secret)
    else setProblem(outcome.problem)
  }
  return (
    <Modal
      title="Add a node"
      description="A new node exchanges a join token for a credential of its own."
      onClose={onClose}
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        <Field label="Name" hint="For people, such as the rack it stands in.">
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
        <Field label="Pool">
          {(control) => (
            <select
              {...control}
              className="select"
              value={pool ?? pools[0]?.name}
              onChange={({ target }) => setPool(target.value)}
            >
              {pools.map(({ name: title, baseModel }) => (
                <option key={title} value={title}>
                  {title} ({baseModel})
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Nodes that may join by it">
          {(control) => (
            <input
              {...control}
              className="input"
              type="number"
              min={1}
              required
              value={maxUses}
              onChange={({ target }) => setMaxUses(target.value)}
            />
          )}
        </Field>
        {problem !== null && <ProblemNote problem={problem} />}
        <div className="modal-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={isCreating}>
            Make a token
          </button>
        </div>
      </form>
    </Modal>
  )
}
