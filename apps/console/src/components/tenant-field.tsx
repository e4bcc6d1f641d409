import { useId } from 'react'
import { useQuery } from 'urql'
import { TenantNamesDocument } from '../generated/graphql.ts'
import { useRights } from '../session/context.tsx'
import { Field } from './field.tsx'

type Props = {
  value: string
  onChange: (tenant: string) => void
  label?: string
  hint?: string
  fault?: string | null
}

/** Names a tenant; those that begin alike are offered. Somebody of one tenant is not asked. */
export const TenantField = ({ value, onChange, label = 'Tenant', hint, fault }: Props) => {
  const { isOperator } = useRights()
  const listId = useId()
  const [{ data }] = useQuery({
    query: TenantNamesDocument,
    variables: { search: value === '' ? null : value },
    pause: !isOperator,
  })
  if (!isOperator) return null
  return (
    <Field label={label} fault={fault} {...(hint === undefined ? {} : { hint })}>
      {(control) => (
        <>
          <input
            {...control}
            className="input"
            list={listId}
            required
            spellCheck={false}
            autoComplete="off"
            value={value}
            onChange={({ target }) => onChange(target.value)}
          />
          <datalist id={listId}>
            {data?.tenants.edges.map(({ node }) => (
              <option key={node.id} value={node.slug}>
                {node.name}
              </option>
            ))}
          </datalist>
        </>
      )}
    </Field>
  )
}
