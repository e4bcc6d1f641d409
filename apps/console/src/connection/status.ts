import { useSyncExternalStore } from 'react'

export type State = 'connecting' | 'live' | 'lost'

/** Whether the control plane answers, as its socket tells. */
export type Status = {
  get(): State
  set(state: State): void
  onChange(listener: () => void): () => void
}

export const createStatus = (): Status => {
  let current: State = 'connecting'
  const listeners = new Set<() => void>()
  return {
    get: () => current,
    set: (state) => {
      if (state === current) return
      current = state
      for (const listener of listeners) listener()
    },
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

export const useStatus = (status: Status): State =>
  useSyncExternalStore(status.onChange, status.get)
