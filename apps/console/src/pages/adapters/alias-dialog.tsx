import { useState } from 'react'
import { Field } from '../../components/field.tsx'
import { Modal } from '../../components/modal.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { useToast } from '../../components/toasts.tsx'
import type { Problem } from '../../connection/problem.ts'
import { useAction } from '../../connection/use-action.ts'
import { type AliasFieldsFragment, SetAdapterAliasDocument } from '../../generated/graphql.ts'
import type { PartProps } from './adapter.tsx'
import { Shares } from './shares.tsx'

type Props = PartProps & { alias: AliasFieldsFragment | null; onClose: () => void }

/** How many versions one name may stand for. */
const maxTargets = 8

/** Says which versions a name stands for, in which shares. */
export const AliasDialog = ({ adapter, alias, refresh, onClose }: Props) => {
  const versions = adapter.versions.filter(({ archivedAt }) => archivedAt === null)
  const [name, setName] = useState(alias?.name ?? '')
  const [percent, setPercent] = useState<Record<number, number>>(() => startOf(alias, versions))
  const [problem, setProblem] = useState<Problem | null>(null)
  const [set, isSetting] = useAction(SetAdapterAliasDocument)
  const toast = useToast()
  const targets = versions
    .map(({ version }) => ({ version, weight: percent[version] ?? 0 }))
    .filter(({ weight }) => weight > 0)
  const total = targets.reduce((sum, { weight }) => sum + weight, 0)

  const submit = async (): Promise<void> => {
    const input = { tenant: adapter.tenant.slug, name: adapter.name, alias: name, targets }
    const outcome = await set({ input })
    if (!outcome.ok) return setProblem(outcome.problem)
    toast(`${name} is set`)
    refresh()
    onClose()
  }
  return (
    <Modal
      title={alias === null ? 'Add a name' : `Shares of ${alias.name}`}
      description="A request keeps its version to its end, however often it moves. Only the proportions count."
      onClose={onClose}
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        {alias === null && (
          <Field
            label="Name"
            hint={`Asked for as ${adapter.name}@name`}
            fault={faultOf(problem, 'alias')}
          >
            {(control) => (
              <input
                {...control}
                className="input"
                required
                spellCheck={false}
                value={name}
                onChange={({ target }) => setName(target.value)}
              />
            )}
          </Field>
        )}
        <div className="weights">
          {versions.slice(0, maxTargets).map(({ version }) => (
            <Weight
              key={version}
              version={version}
              value={percent[version] ?? 0}
              onChange={(value) => setPercent((before) => ({ ...before, [version]: value }))}
            />
          ))}
        </div>
        {total > 0 && (
          <p className="row">
            <span className="quiet">Then</span>
            <Shares
              shares={targets.map(({ version, weight }) => ({ version, weight: weight / total }))}
            />
          </p>
        )}
        {problem !== null && <ProblemNote problem={problem} />}
        <div className="modal-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={total === 0 || isSetting}>
            Set
          </button>
        </div>
      </form>
    </Modal>
  )
}

/** What it stands for now; of a new name, the newest version. */
const startOf = (
  alias: AliasFieldsFragment | null,
  versions: readonly { version: number }[],
): Record<number, number> => {
  if (alias === null)
    return Object.fromEntries(versions.slice(0, 1).map(({ version }) => [version, 100]))
  return Object.fromEntries(
    alias.targets.map(({ version, weight }) => [version, Math.round(weight * 100)]),
  )
}

const faultOf = (problem: Problem | null, field: string): string | null =>
  problem?.field === field ? problem.message : null

type WeightProps = { version: number; value: number; onChange: (value: number) => void }

const Weight = ({ version, value, onChange }: WeightProps) => (
  <>
    <span className="number" id={`version-${version}`}>
      v{version}
    </span>
    <input
      type="range"
      min={0}
      max={100}
      aria-labelledby={`version-${version}`}
      value={value}
      onChange={({ target }) => onChange(Number(target.value))}
    />
    <input
      type="number"
      className="input number"
      min={0}
      max={100}
      aria-labelledby={`version-${version}`}
      value={value}
      onChange={({ target }) => onChange(Number(target.value))}
    />
  </>
)
