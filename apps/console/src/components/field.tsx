import { type ReactNode, useId } from 'react'

type Control = { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean }

type Props = {
  label: string
  hint?: ReactNode
  /** What is wrong with what was entered. */
  fault?: string | null | undefined
  children: (control: Control) => ReactNode
}

/** A labelled control with what helps to fill it in, and what is wrong with it. */
export const Field = ({ label, hint, fault, children }: Props) => {
  const id = useId()
  const isFaulty = fault !== undefined && fault !== null
  const described = [hint === undefined ? '' : `${id}-hint`, isFaulty ? `${id}-fault` : '']
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        'aria-describedby': described.join(' ').trim() || undefined,
        'aria-invalid': isFaulty,
      })}
      {hint !== undefined && (
        <p id={`${id}-hint`} className="hint">
          {hint}
        </p>
      )}
      {isFaulty && (
        <p id={`${id}-fault`} className="fault" role="alert">
          {fault}
        </p>
      )}
    </div>
  )
}
