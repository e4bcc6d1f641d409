import { formatShare } from '../../format.ts'
import './adapters.css'

type Share = { version: number; weight: number }

/** Which versions a name stands for, in which shares. */
export const Shares = ({ shares }: { shares: readonly Share[] }) => {
  const served = shares.filter(({ weight }) => weight > 0).sort((a, b) => b.weight - a.weight)
  const [first] = served
  if (first === undefined) return <span className="quiet">by version only</span>
  if (served.length === 1) return <span className="number">v{first.version}</span>
  const words = served
    .map(({ version, weight }) => `v${version} ${formatShare(weight)}`)
    .join(' · ')
  return (
    <span className="shares">
      <span className="shares-bar" aria-hidden>
        {served.map(({ version, weight }, index) => (
          <span
            key={version}
            className={index === 0 ? 'shares-first' : 'shares-other'}
            style={{ width: `${100 * weight}%` }}
          />
        ))}
      </span>
      <span className="number">{words}</span>
    </span>
  )
}
