import { CircleCheck, CircleX } from 'lucide-react'
import type { Check } from './check-files.ts'

/** What was found in the files, one line each. */
export const CheckList = ({ checks }: { checks: readonly Check[] }) => (
  <ul className="checks" aria-label="Checks of the files">
    {checks.map(({ title, isOk, detail }) => (
      <li key={title} className={isOk ? 'ok' : 'bad'}>
        {isOk ? (
          <CircleCheck size={16} aria-label="holds" />
        ) : (
          <CircleX size={16} aria-label="does not hold" />
        )}
        <span>{title}</span>
        <span className={isOk ? 'quiet' : ''}>{detail}</span>
      </li>
    ))}
  </ul>
)
