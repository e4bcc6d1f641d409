import { type ComponentType, lazy } from 'react'
import { ProblemNote } from './problem-note.tsx'

/** What has been put off so far, and whether it is fetched as soon as there is time. */
const putOff: (() => Promise<unknown>)[] = []
let isPreloading = false

/**
 * A component that is fetched when it is first shown, or before, once the page stands: in an outage
 * it is there then. One that cannot be had says so in its place, and the rest of the page stays.
 */
export const lazily = <Props extends object>(load: () => Promise<ComponentType<Props>>) => {
  putOff.push(load)
  if (isPreloading) preload()
  return lazy(async () => ({ default: await load().catch((): ComponentType<Props> => NotLoaded) }))
}

/** Fetches what was put off when the browser has nothing better to do. */
export const preload = (): void => {
  isPreloading = true
  const fetchAll = (): void => {
    // One that cannot be had now is asked for again when it is shown.
    for (const load of putOff.splice(0)) load().catch(() => {})
  }
  if ('requestIdleCallback' in window) window.requestIdleCallback(fetchAll)
  else setTimeout(fetchAll, 1_000)
}

const problem = {
  code: 'unreachable',
  message: 'This part could not be fetched from the control plane. Reload once it answers again.',
  field: null,
}

const NotLoaded = () => <ProblemNote problem={problem} onRetry={() => window.location.reload()} />
