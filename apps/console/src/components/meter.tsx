import './meter.css'

type Part = { value: number; tone?: 'accent' | 'quiet' | 'edge' }

type Props = { label: string; parts: readonly Part[]; max: number; text?: string }

/** How full something is, as a bar with its figure. */
export const Meter = ({ label, parts, max, text }: Props) => {
  const total = parts.reduce((sum, { value }) => sum + value, 0)
  return (
    <div className="meter">
      {/* biome-ignore lint/a11y/useSemanticElements: a meter element has one part */}
      <div
        className="meter-bar"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={max}
        aria-valuenow={Math.min(total, max)}
        aria-valuetext={text}
      >
        {parts.map(({ value, tone = 'accent' }) => (
          <span
            key={tone}
            className={tone}
            style={{ width: `${max === 0 ? 0 : Math.min(100, (100 * value) / max)}%` }}
          />
        ))}
      </div>
      {text !== undefined && <span className="meter-text number">{text}</span>}
    </div>
  )
}
