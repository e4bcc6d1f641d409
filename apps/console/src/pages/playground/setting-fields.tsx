import { useId } from 'react'

export type Settings = { maxTokens: string; temperature: string; seed: string }

type Props = { settings: Settings; onChange: (settings: Settings) => void }

/** How long the answers may be, and how they are sampled. */
export const SettingFields = ({ settings, onChange }: Props) => (
  <div className="row settings">
    <NumberSetting
      label="Tokens at most"
      value={settings.maxTokens}
      min={1}
      max={4096}
      isRequired
      onChange={(maxTokens) => onChange({ ...settings, maxTokens })}
    />
    <NumberSetting
      label="Temperature"
      value={settings.temperature}
      min={0}
      max={2}
      step={0.1}
      isRequired
      onChange={(temperature) => onChange({ ...settings, temperature })}
    />
    <NumberSetting
      label="Seed"
      value={settings.seed}
      min={0}
      onChange={(seed) => onChange({ ...settings, seed })}
    />
  </div>
)

type NumberProps = {
  label: string
  value: string
  min: number
  max?: number
  step?: number
  isRequired?: boolean
  onChange: (value: string) => void
}

const NumberSetting = ({ label, isRequired = false, onChange, ...range }: NumberProps) => {
  const id = useId()
  return (
    <div className="row">
      <label htmlFor={id} className="quiet">
        {label}
      </label>
      <input
        {...range}
        id={id}
        type="number"
        className="input number setting"
        required={isRequired}
        onChange={({ target }) => onChange(target.value)}
      />
    </div>
  )
}
