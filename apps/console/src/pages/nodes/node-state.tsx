import type { NodeRowFragment } from '../../generated/graphql.ts'

type State = Pick<NodeRowFragment, 'state' | 'scheduling' | 'requests'>

/** The state of a node in a word, and how much attention it wants. */
const wordOf = ({ state, scheduling, requests }: State): [word: string, tone: string] => {
  switch (state) {
    case 'LOST':
      return ['Lost', 'bad']
    case 'FAILED':
      return ['Failed', 'bad']
    case 'STARTING':
      return ['Starting', '']
    case 'DRAINING':
      return ['Stopping', 'warn']
    case 'READY':
      break
  }
  if (scheduling === 'DRAINED') return [requests === 0 ? 'Drained' : 'Draining', 'warn']
  if (scheduling === 'CORDONED') return ['Cordoned', 'warn']
  return requests === 0 ? ['Idle', ''] : ['Active', 'accent']
}

export const NodeState = (node: State) => {
  const [word, tone] = wordOf(node)
  return <span className={`tag ${tone}`}>{word}</span>
}
