import type { ReactNode } from 'react'
import './notes.css'

/** Says that there is nothing here, why, and what to do about it. */
export const Empty = ({ title, children }: { title: string; children?: ReactNode }) => (
  <div className="empty">
    <p className="empty-title">{title}</p>
    {children !== undefined && <div className="quiet">{children}</div>}
  </div>
)
