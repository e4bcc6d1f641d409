import { WifiOff } from 'lucide-react'
import { useState } from 'react'
import { formatTime } from '../format.ts'
import '../components/notes.css'

/** Above the page while nobody answers: how old what one sees is, and that nothing need be done. */
export const OutageBanner = () => {
  const [since] = useState(() => new Date())
  return (
    <div className="note warn outage" role="alert">
      <WifiOff size={16} aria-hidden />
      <p>
        The control plane has not answered since {formatTime(since)}. What you see is from then; the
        GPUs go on serving. The console connects again by itself, and nothing you entered is lost.
      </p>
    </div>
  )
}
