type Page<T> = {
  edges: readonly { node: T }[]
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}

/** A list page by page, up to `max` items, or all. */
export const readPages = async <T>(
  read: (page: { after: string | null }) => Promise<Page<T>>,
  max = Number.POSITIVE_INFINITY,
): Promise<T[]> => {
  const items: T[] = []
  let after: string | null = null
  while (items.length < max) {
    const { edges, pageInfo }: Page<T> = await read({ after })
    items.push(...edges.map(({ node }) => node))
    if (!pageInfo.hasNextPage) break
    after = pageInfo.endCursor
  }
  return items.slice(0, max)
}
