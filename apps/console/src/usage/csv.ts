import type { Problem } from '../connection/problem.ts'

type Filter = { tenant: string | null; from: string; to: string }

/** Fetches the usage of a time as CSV and has the browser save it; resolves with what went wrong. */
export const saveUsageCsv = async (
  key: string,
  { tenant, from, to }: Filter,
): Promise<Problem | null> => {
  const params = new URLSearchParams({ from, to, ...(tenant === null ? {} : { tenant }) })
  try {
    const response = await fetch(`/usage.csv?${params}`, {
      headers: { authorization: `Bearer ${key}` },
    })
    if (!response.ok) {
      const message = `The CSV file could not be made (HTTP ${response.status}).`
      return { code: 'internal', message, field: null }
    }
    save(await response.blob(), `usage-${tenant ?? 'all'}-${from.slice(0, 10)}.csv`)
    return null
  } catch {
    const message = 'The control plane does not answer; try again.'
    return { code: 'unreachable', message, field: null }
  }
}

const save = (blob: Blob, name: string): void => {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}
