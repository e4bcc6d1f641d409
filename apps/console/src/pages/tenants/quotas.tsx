import { useState } from 'react'
import { Facts } from '../../components/facts.tsx'
import { Field } from '../../components/field.tsx'
import { Panel } from '../../components/panel.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { useToast } from '../../components/toasts.tsx'
import type { Problem } from '../../connection/problem.ts'
import { useAction } from '../../connection/use-action.ts'
import { formatCount } from '../../format.ts'
import { type TenantFieldsFragment, UpdateTenantDocument } from '../../generated/graphql.ts'

type Props = { tenant: TenantFieldsFragment; mayChange: boolean }

/** How much the tenant may ask for, and its share when there is not enough for all. */
export const Quotas = ({ tenant, mayChange }: Props) => (
  <Panel title="Quotas">
    {mayChange ? <QuotaForm tenant={tenant} /> : <QuotaFacts tenant={tenant} />}
  </Panel>
)

const QuotaFacts = ({ tenant }: { tenant: TenantFieldsFragment }) => {
  const { weight, maxConcurrentRequests, maxTokensPerMinute } = tenant
  const orNone = (limit: number | null): string =>
    limit === null ? 'no limit' : formatCount(limit)
  return (
    <Facts
      facts={[
        ['Requests at a time', orNone(maxConcurrentRequests)],
        ['Tokens a minute', orNone(maxTokensPerMinute)],
        ['Weight', String(weight)],
      ]}
    />
  )
}

type Entered = { name: string; weight: string; requests: string; tokens: string }

const QuotaForm = ({ tenant }: { tenant: TenantFieldsFragment }) => {
  const [entered, setEntered] = useState<Entered>(() => ({
    name: tenant.name,
    weight: String(tenant.weight),
    requests: String(tenant.maxConcurrentRequests ?? ''),
    tokens: String(tenant.maxTokensPerMinute ?? ''),
  }))
  const [problem, setProblem] = useState<Problem | null>(null)
  const [update, isUpdating] = useAction(UpdateTenantDocument)
  const toast = useToast()
  const submit = async (): Promise<void> => {
    const input = {
      slug: tenant.slug,
      name: entered.name,
      weight: Number(entered.weight),
      maxConcurrentRequests: toLimit(entered.requests),
      maxTokensPerMinute: toLimit(entered.tokens),
    }
    const outcome = await update({ input })
    setProblem(outcome.ok ? null : outcome.problem)
    if (outcome.ok) toast('Saved')
  }
  return (
    <form
      className="stack quota-form"
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <QuotaFields
        entered={entered}
        faultOf={(field) => (problem?.field === field ? problem.message : null)}
        onChange={(change) => setEntered({ ...entered, ...change })}
      />
      {problem !== null && <ProblemNote problem={problem} />}
      <div>
        <button type="submit" className="button primary" disabled={isUpdating}>
          Save
        </button>
      </div>
    </form>
  )
}

const toLimit = (text: string): number | null => (text.trim() === '' ? null : Number(text))

type FieldsProps = {
  entered: Entered
  faultOf: (field: string) => string | null
  onChange: (change: Partial<Entered>) => void
}

const QuotaFields = ({ entered, faultOf, onChange }: FieldsProps) => (
  <>
    <Field label="Name" fault={faultOf('name')}>
      {(control) => (
        <input
          {...control}
          className="input"
          required
          value={entered.name}
          onChange={({ target }) => onChange({ name: target.value })}
        />
      )}
    </Field>
    <Field
      label="Requests at a time"
      hint="Queued or running. Empty: no limit beside the pool’s."
      fault={faultOf('maxConcurrentRequests')}
    >
      {(control) => (
        <input
          {...control}
          className="input number"
          type="number"
          min={1}
          value={entered.requests}
          onChange={({ target }) => onChange({ requests: target.value })}
        />
      )}
    </Field>
    <Field
      label="Tokens a minute"
      hint="Prompt and new tokens. Empty: no limit."
      fault={faultOf('maxTokensPerMinute')}
    >
      {(control) => (
        <input
          {...control}
          className="input number"
          type="number"
          min={1}
          value={entered.tokens}
          onChange={({ target }) => onChange({ tokens: target.value })}
        />
      )}
    </Field>
    <Field
      label="Weight"
      hint="Its share among tenants when requests queue."
      fault={faultOf('weight')}
    >
      {(control) => (
        <input
          {...control}
          className="input number"
          type="number"
          step="any"
          min={0}
          required
          value={entered.weight}
          onChange={({ target }) => onChange({ weight: target.value })}
        />
      )}
    </Field>
  </>
)
