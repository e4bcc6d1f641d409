import { type ReactNode, useState } from 'react'
import type { Problem } from '../connection/problem.ts'
import { Modal } from './modal.tsx'
import { ProblemNote } from './problem-note.tsx'

type Props = {
  title: string
  /** What will happen, and whether it can be taken back. */
  children: ReactNode
  action: string
  isDangerous?: boolean
  /** Resolves with what went wrong; then the question stays. */
  onConfirm: () => Promise<Problem | null>
  onClose: () => void
}

/** Asks before something that others will notice. */
export const Confirm = ({
  title,
  children,
  action,
  isDangerous = false,
  onConfirm,
  onClose,
}: Props) => {
  const [problem, setProblem] = useState<Problem | null>(null)
  const [isBusy, setIsBusy] = useState(false)
  const confirm = async (): Promise<void> => {
    setIsBusy(true)
    const found = await onConfirm()
    setIsBusy(false)
    setProblem(found)
    if (found === null) onClose()
  }
  return (
    <Modal title={title} onClose={onClose}>
      <div>{children}</div>
      {problem !== null && <ProblemNote problem={problem} />}
      <div className="modal-actions">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="button"
          className={isDangerous ? 'button danger' : 'button primary'}
          disabled={isBusy}
          onClick={confirm}
        >
          {action}
        </button>
      </div>
    </Modal>
  )
}
