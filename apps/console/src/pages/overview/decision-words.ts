import { plural } from '../../format.ts'
import type { Decision, DecisionGroup } from './group-decisions.ts'

type Tone = 'accent' | 'good' | 'warn' | 'bad' | ''

/** How each kind of decision is said, and how much attention it wants. */
export const kinds: Record<Decision['kind'], { word: string; tone: Tone }> = {
  PLACE: { word: 'Placed', tone: 'accent' },
  QUEUE: { word: 'Queued', tone: 'warn' },
  MOVE: { word: 'Moved', tone: 'accent' },
  EVICT: { word: 'Evicted', tone: 'warn' },
  INTERRUPT: { word: 'Interrupted', tone: 'bad' },
  REFUSE: { word: 'Refused', tone: 'bad' },
  CANCEL: { word: 'Cancelled', tone: '' },
  SCALE: { word: 'Scale', tone: 'good' },
  CORDON: { word: 'Cordoned', tone: 'warn' },
  DRAIN: { word: 'Drained', tone: 'warn' },
  UNCORDON: { word: 'Opened', tone: 'good' },
}

/** What was decided about whom, in a few words; the reason follows. */
export const sayDecision = ({ newest, count }: DecisionGroup): string => {
  const { kind, tenant, nodeId, wantedNodes } = newest
  const what = count > 1 ? plural(count, 'request') : `a request${tenant ? ` of ${tenant}` : ''}`
  switch (kind) {
    case 'PLACE':
    case 'MOVE':
      return `${what} on ${nodeId}`
    case 'EVICT':
    case 'INTERRUPT':
      return nodeId === null ? what : `${what} from ${nodeId}`
    case 'SCALE':
      return wantedNodes === null ? 'the pool' : `to ${plural(wantedNodes, 'node')}`
    case 'CORDON':
    case 'DRAIN':
    case 'UNCORDON':
      return nodeId ?? 'a node'
    case 'REFUSE':
      return newest.requestId === null && nodeId !== null ? `a command about ${nodeId}` : what
    default:
      return what
  }
}
