import { type ReactNode, useId } from 'react'

type Props = {
  title: string
  /** Beside the title, at the end. */
  tools?: ReactNode
  /** Without a margin around it, for tables. */
  isFlush?: boolean
  children: ReactNode
}

/** A part of a page with a title of its own. */
export const Panel = ({ title, tools, isFlush = false, children }: Props) => {
  const id = useId()
  return (
    <section className="panel" aria-labelledby={id}>
      <header className="panel-head">
        <h2 id={id}>{title}</h2>
        {tools !== undefined && <div className="row spread">{tools}</div>}
      </header>
      <div className={isFlush ? '' : 'panel-body'}>{children}</div>
    </section>
  )
}
