import { useEffect } from 'react'
import type { UseQueryExecute } from 'urql'

/** Asks a query again and again while the page is looked at. */
export const usePoll = (refetch: UseQueryExecute, intervalMs: number): void => {
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') refetch({ requestPolicy: 'network-only' })
    }, intervalMs)
    return () => clearInterval(timer)
  }, [refetch, intervalMs])
}
