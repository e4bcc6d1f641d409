import type { System } from './system.ts'

/** What the services with these names export, all together, as Prometheus reads it. */
export const scrape = async (
  { cluster }: Pick<System, 'cluster'>,
  names: readonly string[],
): Promise<string> => {
  const pages = await Promise.all(
    names.map(async (name) => {
      const { statusPort } = cluster.service(name).facts
      const response = await fetch(`http://127.0.0.1:${statusPort}/metrics`)
      return response.text()
    }),
  )
  return pages.join('\n')
}

/** The sum of a metric's series whose labels have at least these values. */
export const sumOf = (page: string, metric: string, labels: Record<string, string>): number => {
  let sum = 0
  for (const line of page.split('\n')) {
    const [, name, inner, value] = /^([a-z_]+)\{(.*)\} (\S+)$/.exec(line) ?? []
    if (name !== metric || inner === undefined) continue
    const fits = Object.entries(labels).every(([key, wanted]) =>
      inner.split(',').includes(`${key}="${wanted}"`),
    )
    if (fits) sum += Number(value)
  }
  return sum
}
