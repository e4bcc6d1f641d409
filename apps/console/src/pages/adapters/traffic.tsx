import { useState } from 'react'
import { Panel } from '../../components/panel.tsx'
import type { Span } from '../../usage/series.ts'
import { SpanChoice, UsageView } from '../../usage/usage-view.tsx'
import type { Adapter } from './adapter.tsx'

/** What one version of the adapter was used for. */
export const Traffic = ({ adapter }: { adapter: Adapter }) => {
  const [span, setSpan] = useState<Span>('day')
  const busiest = [...adapter.versions].sort((a, b) => b.weight - a.weight)[0]
  const [chosen, setChosen] = useState<string | null>(null)
  const digest = chosen ?? busiest?.digest
  if (digest === undefined) return null
  return (
    <Panel
      title="Traffic"
      tools={
        <>
          <select
            className="select traffic-version"
            aria-label="Version"
            value={digest}
            onChange={({ target }) => setChosen(target.value)}
          >
            {adapter.versions.map(({ id, version, digest: value }) => (
              <option key={id} value={value}>
                v{version}
              </option>
            ))}
          </select>
          <SpanChoice span={span} onSpan={setSpan} />
        </>
      }
    >
      <UsageView tenant={null} digest={digest} span={span} />
    </Panel>
  )
}
