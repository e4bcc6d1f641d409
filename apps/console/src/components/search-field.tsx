import { useEffect, useState } from 'react'

type Props = { label: string; value: string; onChange: (value: string) => void }

const pauseMs = 200

/** Says what was typed once the typing pauses. */
export const SearchField = ({ label, value, onChange }: Props) => {
  const [typed, setTyped] = useState(value)
  useEffect(() => {
    if (typed === value) return
    const timer = setTimeout(() => onChange(typed), pauseMs)
    return () => clearTimeout(timer)
  }, [typed, value, onChange])
  return (
    <input
      type="search"
      className="input"
      aria-label={label}
      placeholder={label}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
    />
  )
}
