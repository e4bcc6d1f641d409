import { type Exchange, makeOperation, type Operation } from 'urql'
import { pipe, tap } from 'wonka'
import type { Status } from './status.ts'

/** Asks anew for everything on the page when the control plane is back after it was gone. */
export const refreshExchange =
  (status: Status): Exchange =>
  ({ client, forward }) =>
  (operations) => {
    const active = new Map<number, Operation>()
    let wasLost = false
    status.onChange(() => {
      if (status.get() === 'lost') wasLost = true
      if (status.get() !== 'live' || !wasLost) return
      wasLost = false
      for (const operation of active.values()) {
        const context = { ...operation.context, requestPolicy: 'network-only' as const }
        client.reexecuteOperation(makeOperation('query', operation, context))
      }
    })
    return pipe(
      operations,
      tap((operation) => {
        if (operation.kind === 'query') active.set(operation.key, operation)
        if (operation.kind === 'teardown') active.delete(operation.key)
      }),
      forward,
    )
  }
