import type { ReactNode } from 'react'
import './facts.css'

/** Names with their values, in columns as there is room. */
export const Facts = ({
  facts,
}: {
  facts: readonly (readonly [name: string, value: ReactNode])[]
}) => (
  <dl className="facts">
    {facts.map(([name, value]) => (
      <div key={name}>
        <dt className="quiet small">{name}</dt>
        <dd className="number">{value}</dd>
      </div>
    ))}
  </dl>
)
