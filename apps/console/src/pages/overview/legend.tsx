const items = [
  ['requests', 'Working set'],
  ['memory', 'Memory'],
  ['held', 'Cordoned, draining'],
  ['gone', 'Lost'],
] as const

/** What the shapes of the map mean. */
export const Legend = () => (
  <ul className="legend spread">
    {items.map(([kind, title]) => (
      <li key={kind} className="small quiet">
        <span className={`legend-mark ${kind}`} aria-hidden />
        {title}
      </li>
    ))}
  </ul>
)
