import { TriangleAlert } from 'lucide-react'
import type { Problem } from '../connection/problem.ts'
import './notes.css'

type Props = { problem: Problem; onRetry?: () => void }

/** Says plainly what went wrong, with the code under which docs/failures.md explains it. */
export const ProblemNote = ({ problem: { code, message }, onRetry }: Props) => (
  <div role="alert" className="note bad">
    <TriangleAlert size={16} aria-hidden />
    <div>
      <p>{message}</p>
      {code !== 'unreachable' && <p className="small mono">{code}</p>}
    </div>
    {onRetry !== undefined && (
      <button type="button" className="button spread" onClick={onRetry}>
        Try again
      </button>
    )}
  </div>
)
