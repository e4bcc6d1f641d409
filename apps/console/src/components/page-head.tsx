import type { ReactNode } from 'react'

type Props = { title: ReactNode; note?: ReactNode; children?: ReactNode }

/** The title of a page, what it is about, and what one can do there. */
export const PageHead = ({ title, note, children }: Props) => (
  <header className="row">
    <div>
      <h1>{title}</h1>
      {note !== undefined && <p className="quiet">{note}</p>}
    </div>
    {children !== undefined && <div className="row spread">{children}</div>}
  </header>
)
