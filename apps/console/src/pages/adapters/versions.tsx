import { useState } from 'react'
import { Confirm } from '../../components/confirm.tsx'
import { type Column, DataTable } from '../../components/data-table.tsx'
import { Panel } from '../../components/panel.tsx'
import { useToast } from '../../components/toasts.tsx'
import { useAction } from '../../connection/use-action.ts'
import { formatBytes, formatDateTime, formatShare, shortDigest } from '../../format.ts'
import {
  ArchiveAdapterVersionDocument,
  type VersionFieldsFragment,
} from '../../generated/graphql.ts'
import type { PartProps } from './adapter.tsx'

type Version = VersionFieldsFragment

const columns: Column<Version, never>[] = [
  { title: 'Version', cell: ({ version }) => `v${version}` },
  {
    title: 'Takes',
    cell: ({ weight, archivedAt }) => {
      if (archivedAt !== null) return <span className="tag">Archived</span>
      return weight > 0 ? (
        <span className="tag accent">{formatShare(weight)}</span>
      ) : (
        <span className="quiet">by name only</span>
      )
    },
  },
  { title: 'Digest', cell: ({ digest }) => <code title={digest}>{shortDigest(digest)}</code> },
  { title: 'Rank', isNumber: true, cell: ({ rank }) => rank },
  {
    title: 'Modules',
    isExtra: true,
    cell: ({ targetModules, numTensors }) => (
      <span title={targetModules.join(', ')}>
        {targetModules.length} <span className="quiet">({numTensors} tensors)</span>
      </span>
    ),
  },
  { title: 'Size', isNumber: true, isExtra: true, cell: ({ sizeBytes }) => formatBytes(sizeBytes) },
  {
    title: 'Tried',
    isExtra: true,
    cell: ({ probe }) =>
      probe === null ? (
        <span className="quiet">not</span>
      ) : (
        <span title={`Largest change of a log-probability: ${probe.maxLogprobChange.toFixed(2)}`}>
          {probe.changedTokens} of {probe.numTokens} tokens differ
        </span>
      ),
  },
  {
    title: 'Published',
    isExtra: true,
    cell: ({ createdAt }) => <span className="quiet">{formatDateTime(createdAt)}</span>,
  },
]

/** Every version, newest first; none of them ever changes. */
export const Versions = ({ adapter, mayChange, refresh }: PartProps) => {
  const { tenant, name, versions } = adapter
  const [asked, setAsked] = useState<Version | null>(null)
  const [archive] = useAction(ArchiveAdapterVersionDocument)
  const toast = useToast()
  const actions: Column<Version, never> = {
    title: 'Actions',
    cell: (version) =>
      version.archivedAt === null && (
        <button type="button" className="button plain" onClick={() => setAsked(version)}>
          Archive<span className="unseen"> version {version.version}</span>
        </button>
      ),
  }
  return (
    <Panel title="Versions" isFlush>
      <DataTable
        label="Versions"
        columns={mayChange ? [...columns, actions] : columns}
        rows={versions}
        keyOf={({ id }) => id}
      />
      {asked !== null && (
        <Confirm
          title={`Archive version ${asked.version}?`}
          action="Archive"
          isDangerous
          onClose={() => setAsked(null)}
          onConfirm={async () => {
            const input = { tenant: tenant.slug, name, version: asked.version }
            const outcome = await archive({ input })
            if (!outcome.ok) return outcome.problem
            toast(`Version ${asked.version} is archived`)
            refresh()
            return null
          }}
        >
          <p>
            It ends for good, and its files go a day later. It is refused while a name stands for
            it, or while a request runs on it.
          </p>
        </Confirm>
      )}
    </Panel>
  )
}
