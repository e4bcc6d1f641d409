import { Play, Upload } from 'lucide-react'
import { useState } from 'react'
import { useQuery } from 'urql'
import { Link } from 'wouter'
import { Confirm } from '../../components/confirm.tsx'
import { Empty } from '../../components/empty.tsx'
import { PageHead } from '../../components/page-head.tsx'
import { QueryView } from '../../components/query-view.tsx'
import { useToast } from '../../components/toasts.tsx'
import { useAction } from '../../connection/use-action.ts'
import { formatCompact } from '../../format.ts'
import {
  AdapterDocument,
  type AdapterQuery,
  ArchiveAdapterDocument,
} from '../../generated/graphql.ts'
import { useRights } from '../../session/context.tsx'
import { Aliases } from './aliases.tsx'
import { Grants } from './grants.tsx'
import { Traffic } from './traffic.tsx'
import { UploadDialog } from './upload/upload-dialog.tsx'
import { Versions } from './versions.tsx'

export type Adapter = NonNullable<AdapterQuery['adapter']>
export type Alias = Adapter['aliases'][number]

/** What the parts of the page are handed: the adapter, and a way to read it anew. */
export type PartProps = { adapter: Adapter; mayChange: boolean; refresh: () => void }

/** One adapter: its versions, what its names stand for, what it is used for, and by whom. */
export const AdapterPage = ({ tenant, name }: { tenant: string; name: string }) => {
  const { isOperator, ownTenant, mayAdminister } = useRights()
  const mayChange = mayAdminister(tenant)
  const isOwn = isOperator || ownTenant === tenant
  const query = useQuery({
    query: AdapterDocument,
    variables: { tenant, name, isOwn, mayChange },
  })
  const refresh = (): void => query[1]({ requestPolicy: 'network-only' })
  return (
    <QueryView query={query}>
      {({ adapter }) =>
        adapter === null ? (
          <Empty title={`There is no adapter ${name} of ${tenant}`}>
            <Link href="/adapters">All adapters</Link>
          </Empty>
        ) : (
          <View
            adapter={adapter}
            mayChange={mayChange && adapter.archivedAt === null}
            refresh={refresh}
          />
        )
      }
    </QueryView>
  )
}

const View = (props: PartProps) => {
  const { adapter, mayChange } = props
  const maySeeTraffic = useRights().mayAdminister(adapter.tenant.slug)
  const { tenant, name, baseModel, traffic, archivedAt } = adapter
  return (
    <>
      <PageHead
        title={
          <span className="row">
            {name} {archivedAt !== null && <span className="tag">Archived</span>}
          </span>
        }
        note={`${tenant.slug} · on ${baseModel}${traffic === undefined ? '' : ` · ${inWords(traffic)}`}`}
      >
        {archivedAt === null && (
          <Link className="button" href={`/playground?tenant=${tenant.slug}&model=${name}`}>
            <Play size={14} aria-hidden />
            Try it
          </Link>
        )}
        {mayChange && <Actions {...props} />}
      </PageHead>
      <div className="adapter-columns">
        <div className="stack">
          <Versions {...props} />
          {maySeeTraffic && <Traffic adapter={adapter} />}
        </div>
        <div className="stack">
          <Aliases {...props} />
          {adapter.grants !== undefined && <Grants {...props} grants={adapter.grants} />}
        </div>
      </div>
    </>
  )
}

const inWords = ({ requests, promptTokens, generatedTokens }: NonNullable<Adapter['traffic']>) =>
  `${formatCompact(requests)} requests and ${formatCompact(promptTokens + generatedTokens)} tokens in 24 hours`

const Actions = ({ adapter, refresh }: PartProps) => {
  const { tenant, name, baseModel } = adapter
  const [asked, setAsked] = useState<'upload' | 'archive' | null>(null)
  const [archive] = useAction(ArchiveAdapterDocument)
  const toast = useToast()
  const close = (): void => setAsked(null)
  return (
    <>
      <button type="button" className="button danger" onClick={() => setAsked('archive')}>
        Archive
      </button>
      <button type="button" className="button primary" onClick={() => setAsked('upload')}>
        <Upload size={14} aria-hidden />
        Upload a version
      </button>
      {asked === 'upload' && (
        <UploadDialog
          adapter={{ tenant: tenant.slug, name, baseModel }}
          onClose={() => {
            close()
            refresh()
          }}
        />
      )}
      {asked === 'archive' && (
        <Confirm
          title={`Archive ${name}?`}
          action="Archive"
          isDangerous
          onClose={close}
          onConfirm={async () => {
            const outcome = await archive({ input: { tenant: tenant.slug, name } })
            if (!outcome.ok) return outcome.problem
            toast(`${name} is archived`)
            refresh()
            return null
          }}
        >
          <p>
            All its versions end for good. It is refused while another tenant has it, while it has
            names beside <code>default</code>, and while a request runs on it.
          </p>
        </Confirm>
      )}
    </>
  )
}
