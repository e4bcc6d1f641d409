import { Plus } from 'lucide-react'
import { useState } from 'react'
import { Confirm } from '../../components/confirm.tsx'
import { Panel } from '../../components/panel.tsx'
import { useToast } from '../../components/toasts.tsx'
import { useAction } from '../../connection/use-action.ts'
import { formatAgo } from '../../format.ts'
import {
  RemoveAdapterAliasDocument,
  RollbackAdapterAliasDocument,
} from '../../generated/graphql.ts'
import type { Alias, PartProps } from './adapter.tsx'
import { AliasDialog } from './alias-dialog.tsx'
import { Shares } from './shares.tsx'

type Asked = { what: 'set' | 'rollback' | 'remove'; alias: Alias } | { what: 'add' }

/** What the adapter's names stand for, and the ways to change it or to take it back. */
export const Aliases = (props: PartProps) => {
  const { adapter, mayChange } = props
  const [asked, setAsked] = useState<Asked | null>(null)
  return (
    <Panel
      title="Names and canaries"
      isFlush
      tools={
        mayChange && (
          <button type="button" className="button" onClick={() => setAsked({ what: 'add' })}>
            <Plus size={14} aria-hidden />
            Add a name
          </button>
        )
      }
    >
      <ul className="aliases">
        {adapter.aliases.map((alias) => (
          <li key={alias.name}>
            <code>{alias.name === 'default' ? adapter.name : `${adapter.name}@${alias.name}`}</code>
            <Shares shares={alias.targets} />
            <span className="quiet small">{formatAgo(alias.updatedAt)}</span>
            {mayChange && <Actions alias={alias} onAsk={setAsked} />}
          </li>
        ))}
      </ul>
      {asked !== null && <Dialogs {...props} asked={asked} onClose={() => setAsked(null)} />}
    </Panel>
  )
}

const Actions = ({ alias, onAsk }: { alias: Alias; onAsk: (asked: Asked) => void }) => (
  <span className="row spread">
    {(alias.history ?? []).length > 1 && (
      <button type="button" className="button" onClick={() => onAsk({ what: 'rollback', alias })}>
        Roll back<span className="unseen"> {alias.name}</span>
      </button>
    )}
    <button type="button" className="button" onClick={() => onAsk({ what: 'set', alias })}>
      Shares<span className="unseen"> of {alias.name}</span>
    </button>
    {alias.name !== 'default' && (
      <button
        type="button"
        className="button plain danger"
        onClick={() => onAsk({ what: 'remove', alias })}
      >
        Remove<span className="unseen"> {alias.name}</span>
      </button>
    )}
  </span>
)

const Dialogs = ({
  asked,
  onClose,
  ...props
}: PartProps & { asked: Asked; onClose: () => void }) => {
  switch (asked.what) {
    case 'add':
      return <AliasDialog {...props} alias={null} onClose={onClose} />
    case 'set':
      return <AliasDialog {...props} alias={asked.alias} onClose={onClose} />
    case 'rollback':
      return <Rollback {...props} alias={asked.alias} onClose={onClose} />
    case 'remove':
      return <Remove {...props} alias={asked.alias} onClose={onClose} />
  }
}

type DialogProps = PartProps & { alias: Alias; onClose: () => void }

const Rollback = ({ adapter, alias, refresh, onClose }: DialogProps) => {
  const [rollBack] = useAction(RollbackAdapterAliasDocument)
  const toast = useToast()
  const [, before] = alias.history ?? []
  return (
    <Confirm
      title={`Roll ${alias.name} back?`}
      action="Roll back"
      onClose={onClose}
      onConfirm={async () => {
        const input = { tenant: adapter.tenant.slug, name: adapter.name, alias: alias.name }
        const outcome = await rollBack({ input })
        if (!outcome.ok) return outcome.problem
        toast(`${alias.name} stands for what it did before`)
        refresh()
        return null
      }}
    >
      <p>
        New requests take what it stood for before the newest change, within a second. Those that
        run keep their version.
      </p>
      {before !== undefined && (
        <p className="row">
          <Shares shares={alias.targets} /> → <Shares shares={before.targets} />
        </p>
      )}
    </Confirm>
  )
}

const Remove = ({ adapter, alias, refresh, onClose }: DialogProps) => {
  const [remove] = useAction(RemoveAdapterAliasDocument)
  const toast = useToast()
  return (
    <Confirm
      title={`Remove ${adapter.name}@${alias.name}?`}
      action="Remove"
      isDangerous
      onClose={onClose}
      onConfirm={async () => {
        const input = { tenant: adapter.tenant.slug, name: adapter.name, alias: alias.name }
        const outcome = await remove({ input })
        if (!outcome.ok) return outcome.problem
        toast(`${alias.name} is removed`)
        refresh()
        return null
      }}
    >
      <p>Requests that ask for it are refused. The versions stay.</p>
    </Confirm>
  )
}
