import { useState } from 'react'
import { gql, useQuery } from 'urql'
import { Problem } from '../components/problem.tsx'

type Row = {
  id: string
  name: string
  baseModel: string
  tenant: { slug: string }
  versions: {
    version: number
    rank: number
    sizeBytes: number
    targetModules: string[]
    digest: string
  }[]
}

type Data = {
  adapters: { edges: { node: Row }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } }
}

const Adapters = gql<Data, { search: string | null; after: string | null }>`
  query Adapters($search: String, $after: String) {
    adapters(search: $search, after: $after, first: 50) {
      edges {
        node {
          id
          name
          baseModel
          tenant {
            slug
          }
          versions {
            version
            rank
            sizeBytes
            targetModules
            digest
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`

/** The adapters that the key may see, a page at a time, with the newest version of each. */
export const AdaptersPage = () => {
  const [search, setSearch] = useState('')
  const [after, setAfter] = useState<string | null>(null)
  const [{ data, error }] = useQuery({
    query: Adapters,
    variables: { search: search === '' ? null : search, after },
  })
  return (
    <>
      <h1>Adapters</h1>
      <label>
        Search{' '}
        <input
          type="search"
          value={search}
          onChange={(event) => {
            setSearch(event.target.value)
            setAfter(null)
          }}
        />
      </label>
      {error !== undefined && <Problem error={error} />}
      {data !== undefined && <Table rows={data.adapters.edges.map(({ node }) => node)} />}
      {after !== null && (
        <button type="button" onClick={() => setAfter(null)}>
          First page
        </button>
      )}
      {data?.adapters.pageInfo.hasNextPage === true && (
        <button type="button" onClick={() => setAfter(data.adapters.pageInfo.endCursor)}>
          Next page
        </button>
      )}
    </>
  )
}

const Table = ({ rows }: { rows: readonly Row[] }) => {
  if (rows.length === 0) return <p>No adapter here.</p>
  return (
    <table>
      <thead>
        <tr>
          {['Tenant', 'Adapter', 'Base', 'Version', 'Rank', 'Modules', 'Size', 'Digest'].map(
            (title) => (
              <th key={title} scope="col">
                {title}
              </th>
            ),
          )}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ id, tenant, name, baseModel, versions: [newest] }) => (
          <tr key={id}>
            <td>{tenant.slug}</td>
            <th scope="row">{name}</th>
            <td>{baseModel}</td>
            <td>{newest?.version ?? '—'}</td>
            <td>{newest?.rank ?? '—'}</td>
            <td>{newest?.targetModules.join(', ') ?? '—'}</td>
            <td>{newest === undefined ? '—' : `${(newest.sizeBytes / 1e6).toFixed(1)} MB`}</td>
            <td>
              <code>{newest?.digest.slice(0, 12) ?? '—'}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
