import { useState } from 'react'
import { useLocation } from 'wouter'
import { Field } from '../../components/field.tsx'
import { Modal } from '../../components/modal.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import type { Problem } from '../../connection/problem.ts'
import { useAction } from '../../connection/use-action.ts'
import { CreateTenantDocument } from '../../generated/graphql.ts'

export const CreateTenantDialog = ({ onClose }: { onClose: () => void }) => {
  const [slug, setSlug] = useState('')
  const [name, setName] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [create, isCreating] = useAction(CreateTenantDocument)
  const [, navigate] = useLocation()
  const submit = async (): Promise<void> => {
    const outcome = await create({ input: { slug, name } })
    if (!outcome.ok) return setProblem(outcome.problem)
    onClose()
    navigate(`/tenants/${slug}?tab=keys`)
  }
  const faultOf = (field: string): string | null =>
    problem?.field === field ? problem.message : null
  return (
    <Modal title="Create a tenant" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        <Field
          label="Short name"
          hint="1 to 63 of a–z, 0–9 and inner hyphens. It cannot be changed."
          fault={faultOf('slug')}
        >
          {(control) => (
            <input
              {...control}
              className="input"
              required
              spellCheck={false}
              value={slug}
              onChange={({ target }) => setSlug(target.value)}
            />
          )}
        </Field>
        <Field label="Name" fault={faultOf('name')}>
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
