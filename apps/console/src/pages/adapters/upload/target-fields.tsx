import { useEffect } from 'react'
import { useQuery } from 'urql'
import { Field } from '../../../components/field.tsx'
import { TenantField } from '../../../components/tenant-field.tsx'
import type { Problem } from '../../../connection/problem.ts'
import { BaseModelsDocument } from '../../../generated/graphql.ts'
import type { Target } from './use-upload.ts'

type Props = {
  target: Target
  /** It is a version of a known adapter. */
  isFixed: boolean
  onChange: (change: (before: Target) => Target) => void
  problem: Problem | null
}

/** Whose adapter it becomes, under which name, and which share of the requests it takes. */
export const TargetFields = ({ target, isFixed, onChange, problem }: Props) => {
  const [{ data }] = useQuery({ query: BaseModelsDocument })
  const set = (change: Partial<Target>): void => onChange((before) => ({ ...before, ...change }))
  const faultOf = (field: string): string | null =>
    problem?.field === field ? problem.message : null
  const first = data?.baseModels[0]?.name
  useEffect(() => {
    if (first === undefined) return
    onChange((before) => (before.baseModel === '' ? { ...before, baseModel: first } : before))
  }, [first, onChange])
  return (
    <div className="fields">
      {!isFixed && (
        <>
          <TenantField
            value={target.tenant}
            fault={faultOf('tenant')}
            onChange={(tenant) => set({ tenant })}
          />
          <Field label="Name" hint="a–z, 0–9, inner . _ -" fault={faultOf('name')}>
            {(control) => (
              <input
                {...control}
                className="input"
                required
                spellCheck={false}
                value={target.name}
                onChange={(event) => set({ name: event.target.value })}
              />
            )}
          </Field>
          <Field label="Base model" fault={faultOf('baseModel')}>
            {(control) => (
              <select
                {...control}
                className="select"
                value={target.baseModel}
                onChange={(event) => set({ baseModel: event.target.value })}
              >
                {data?.baseModels.map(({ name }) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            )}
          </Field>
        </>
      )}
      <Field label="Takes of the requests to its name" hint="The first version takes all.">
        {(control) => (
          <select
            {...control}
            className="select"
            value={target.weight}
            onChange={(event) => set({ weight: Number(event.target.value) })}
          >
            <option value={1}>All, at once</option>
            <option value={0.5}>50 %</option>
            <option value={0.1}>10 %, as a canary</option>
            <option value={0.01}>1 %, as a canary</option>
            <option value={0}>None yet</option>
          </select>
        )}
      </Field>
    </div>
  )
}
