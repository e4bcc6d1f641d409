import { Menu } from '@base-ui/react/menu'
import { Ellipsis } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import { Confirm } from '../../components/confirm.tsx'
import { useToast } from '../../components/toasts.tsx'
import { useAction } from '../../connection/use-action.ts'
import { plural } from '../../format.ts'
import {
  CordonNodeDocument,
  DrainNodeDocument,
  type NodeRowFragment,
  RemoveNodeDocument,
  UncordonNodeDocument,
} from '../../generated/graphql.ts'

type Node = Pick<NodeRowFragment, 'id' | 'state' | 'scheduling' | 'requests'>
type Name = 'cordon' | 'drain' | 'uncordon' | 'remove'

const titles: Record<Name, string> = {
  cordon: 'Cordon',
  drain: 'Drain',
  uncordon: 'Uncordon',
  remove: 'Remove',
}
const past: Record<Name, string> = {
  cordon: 'cordoned',
  drain: 'drained',
  uncordon: 'open again',
  remove: 'removed',
}

/** What makes sense for a node as it is. */
const actionsFor = ({ state, scheduling, requests }: Node): Name[] => {
  if (state === 'LOST') return ['remove']
  if (scheduling === 'OPEN') return ['cordon', 'drain']
  if (scheduling === 'CORDONED') return ['uncordon', 'drain']
  return requests === 0 ? ['uncordon', 'remove'] : ['uncordon']
}

const consequences: Record<Name, (node: Node) => ReactNode> = {
  cordon: ({ id, requests }) =>
    `${id} gets nothing new. Its ${plural(requests, 'request')} go on to their end there.`,
  drain: ({ id, requests }) =>
    `${id} gets nothing new, and its ${plural(requests, 'request')} move to other nodes as they have room. Their streams go on without a break.`,
  uncordon: ({ id }) => `${id} gets requests again.`,
  remove: ({ id }) =>
    `${id} is forgotten, and the credential with which it joined ends. To come back it needs a new join token.`,
}

const useRun = (): ((name: Name, id: string) => Promise<ReturnType<typeof toProblemOf>>) => {
  const [cordon] = useAction(CordonNodeDocument)
  const [drain] = useAction(DrainNodeDocument)
  const [uncordon] = useAction(UncordonNodeDocument)
  const [remove] = useAction(RemoveNodeDocument)
  const run = { cordon, drain, uncordon, remove }
  return async (name, id) => toProblemOf(await run[name]({ input: { id } }))
}

const toProblemOf = (outcome: Awaited<ReturnType<ReturnType<typeof useAction>[0]>>) =>
  outcome.ok ? null : outcome.problem

type Props = {
  node: Node
  /** As buttons side by side rather than a menu. */
  isWide?: boolean
  onDone?: (name: Name) => void
}

export const NodeActions = ({ node, isWide = false, onDone }: Props) => {
  const [asked, setAsked] = useState<Name | null>(null)
  const run = useRun()
  const toast = useToast()
  const names = actionsFor(node)
  return (
    <>
      {isWide ? (
        names.map((name) => (
          <button
            key={name}
            type="button"
            className={name === 'remove' ? 'button danger' : 'button'}
            onClick={() => setAsked(name)}
          >
            {titles[name]}
          </button>
        ))
      ) : (
        <ActionMenu label={`Actions for ${node.id}`} names={names} onChoose={setAsked} />
      )}
      {asked !== null && (
        <Confirm
          title={`${titles[asked]} ${node.id}?`}
          action={titles[asked]}
          isDangerous={asked === 'remove'}
          onClose={() => setAsked(null)}
          onConfirm={async () => {
            const problem = await run(asked, node.id)
            if (problem !== null) return problem
            toast(`${node.id} is ${past[asked]}`)
            onDone?.(asked)
            return null
          }}
        >
          <p>{consequences[asked](node)}</p>
        </Confirm>
      )}
    </>
  )
}

type MenuProps = { label: string; names: readonly Name[]; onChoose: (name: Name) => void }

const ActionMenu = ({ label, names, onChoose }: MenuProps) => (
  <Menu.Root>
    <Menu.Trigger className="button plain icon" aria-label={label}>
      <Ellipsis size={16} aria-hidden />
    </Menu.Trigger>
    <Menu.Portal>
      <Menu.Positioner sideOffset={4} align="end">
        <Menu.Popup className="menu">
          {names.map((name) => (
            <Menu.Item key={name} className="menu-item" onClick={() => onChoose(name)}>
              {titles[name]}
            </Menu.Item>
          ))}
        </Menu.Popup>
      </Menu.Positioner>
    </Menu.Portal>
  </Menu.Root>
)
