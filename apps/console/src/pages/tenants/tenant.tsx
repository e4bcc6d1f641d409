import { useState } from 'react'
import { useQuery } from 'urql'
import { Link } from 'wouter'
import { Confirm } from '../../components/confirm.tsx'
import { Empty } from '../../components/empty.tsx'
import { Field } from '../../components/field.tsx'
import { PageHead } from '../../components/page-head.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { useToast } from '../../components/toasts.tsx'
import { useAction } from '../../connection/use-action.ts'
import { formatDate } from '../../format.ts'
import {
  ResumeTenantDocument,
  SuspendTenantDocument,
  TenantDocument,
  type TenantFieldsFragment,
} from '../../generated/graphql.ts'
import { useRights } from '../../session/context.tsx'
import { ApiKeys } from './api-keys.tsx'
import { AuditLog } from './audit-log.tsx'
import { NatsCredentials } from './nats-credentials.tsx'
import { Quotas } from './quotas.tsx'
import { Usage } from './usage.tsx'

/** One tenant: what it uses, its keys and credentials, its quotas, and who did what. */
export const TenantPage = ({ slug }: { slug: string }) => {
  const query = useQuery({ query: TenantDocument, variables: { slug } })
  return (
    <QueryView query={query}>
      {({ tenant }) =>
        tenant === null ? (
          <Empty title={`There is no tenant ${slug}`}>
            <Link href="/tenants">All tenants</Link>
          </Empty>
        ) : (
          <View tenant={tenant} />
        )
      }
    </QueryView>
  )
}

const View = ({ tenant }: { tenant: TenantFieldsFragment }) => {
  const { isOperator } = useRights()
  const { slug, name, suspended, suspendedReason, createdAt } = tenant
  return (
    <>
      <PageHead
        title={
          <span className="row">
            {name} {suspended && <span className="tag bad">Suspended</span>}
          </span>
        }
        note={
          suspended
            ? `Every key is refused${suspendedReason === null ? '' : `: ${suspendedReason}`}.`
            : `${slug} · since ${formatDate(createdAt)}`
        }
      >
        <Link className="button" href={isOperator ? `/adapters?tenant=${slug}` : '/adapters'}>
          Adapters
        </Link>
        {isOperator && <Suspension tenant={tenant} />}
      </PageHead>
      <Tabs
        label={name}
        tabs={[
          { name: 'usage', title: 'Usage', render: () => <Usage tenant={slug} /> },
          { name: 'keys', title: 'API keys', render: () => <ApiKeys tenant={slug} /> },
          {
            name: 'nats',
            title: 'NATS credentials',
            render: () => <NatsCredentials tenant={slug} />,
          },
          {
            name: 'quotas',
            title: 'Quotas',
            render: () => <Quotas key={slug} tenant={tenant} mayChange={isOperator} />,
          },
          { name: 'audit', title: 'Audit log', render: () => <AuditLog tenant={slug} /> },
        ]}
      />
    </>
  )
}

const Suspension = ({ tenant: { slug, suspended } }: { tenant: TenantFieldsFragment }) => {
  const [isAsked, setIsAsked] = useState(false)
  const [reason, setReason] = useState('')
  const [suspend] = useAction(SuspendTenantDocument)
  const [resume] = useAction(ResumeTenantDocument)
  const toast = useToast()
  const word = suspended ? 'Resume' : 'Suspend'
  return (
    <>
      <button
        type="button"
        className={suspended ? 'button' : 'button danger'}
        onClick={() => setIsAsked(true)}
      >
        {word}
      </button>
      {isAsked && (
        <Confirm
          title={`${word} ${slug}?`}
          action={word}
          isDangerous={!suspended}
          onClose={() => setIsAsked(false)}
          onConfirm={async () => {
            const outcome = suspended
              ? await resume({ input: { slug } })
              : await suspend({ input: { slug, reason: reason === '' ? null : reason } })
            if (!outcome.ok) return outcome.problem
            toast(`${slug} is ${suspended ? 'resumed' : 'suspended'}`)
            return null
          }}
        >
          {suspended ? (
            <p>Its keys are accepted again, within a second.</p>
          ) : (
            <div className="stack">
              <p>
                Every key of it is refused within a second, here and at the gateways. Requests that
                run go on to their end.
              </p>
              <Field label="Reason" hint="Kept for whoever asks later.">
                {(control) => (
                  <input
                    {...control}
                    className="input"
                    value={reason}
                    onChange={({ target }) => setReason(target.value)}
                  />
                )}
              </Field>
            </div>
          )}
        </Confirm>
      )}
    </>
  )
}
