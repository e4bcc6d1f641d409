import { Component, type ReactNode } from 'react'
import { ProblemNote } from '../components/problem-note.tsx'

type Props = { children: ReactNode }

const problem = {
  code: 'console',
  message:
    'This page has failed, through a fault of the console. The others still work; reload to try it again.',
  field: null,
}

/** Keeps a page that fails from taking the whole console with it. React asks for a class here. */
export class PageBoundary extends Component<Props, { hasFailed: boolean }> {
  override state = { hasFailed: false }

  static getDerivedStateFromError(): { hasFailed: boolean } {
    return { hasFailed: true }
  }

  override render(): ReactNode {
    if (!this.state.hasFailed) return this.props.children
    return <ProblemNote problem={problem} onRetry={() => window.location.reload()} />
  }
}
