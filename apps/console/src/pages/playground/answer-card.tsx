import { Link } from 'wouter'
import { formatCount, formatMs } from '../../format.ts'
import { useRights } from '../../session/context.tsx'
import { speedOf } from './speed.ts'
import type { Answer } from './use-run.ts'

type Props = { model: string; answer: Answer | undefined; isRunning: boolean }

/** What one model says, and how fast. */
export const AnswerCard = ({ model, answer, isRunning }: Props) => {
  const isOpen =
    isRunning && (answer?.finishReason ?? null) === null && (answer?.problem ?? null) === null
  return (
    <article className="answer panel" aria-label={`Answer of ${model}`} aria-busy={isOpen}>
      <header className="panel-head">
        <h2>{model}</h2>
        <State answer={answer} isOpen={isOpen} />
      </header>
      <p className="answer-text">
        {answer?.text}
        {isOpen && <span className="caret" aria-hidden />}
      </p>
      {answer?.problem != null && (
        <p className="answer-problem" role="alert">
          {answer.problem.message} <span className="mono small">{answer.problem.code}</span>
        </p>
      )}
      <Figures answer={answer} />
    </article>
  )
}

const State = ({ answer, isOpen }: { answer: Answer | undefined; isOpen: boolean }) => {
  if (answer?.problem != null) return <span className="tag bad spread">Failed</span>
  if (answer?.finishReason === 'STOP') return <span className="tag good spread">Complete</span>
  if (answer?.finishReason === 'LENGTH') return <span className="tag spread">At its limit</span>
  if (!isOpen) return <span className="tag spread">Stopped</span>
  return (
    <span className="tag accent spread">
      {answer === undefined || answer.numTokens === 0 ? 'Waiting' : 'Writing'}
    </span>
  )
}

const Figures = ({ answer }: { answer: Answer | undefined }) => {
  const { isOperator } = useRights()
  const speed = answer === undefined ? null : speedOf(answer)
  const node = answer?.nodeId ?? null
  const figures = [
    ['First token', answer?.timeToFirstTokenMs == null ? '—' : formatMs(answer.timeToFirstTokenMs)],
    ['Tokens/s', speed === null ? '—' : formatCount(speed)],
    ['Tokens', formatCount(answer?.numTokens ?? 0)],
    [
      'Node',
      node !== null && isOperator ? (
        <Link key="node" href={`/nodes/${node}`}>
          {node}
        </Link>
      ) : (
        (node ?? '—')
      ),
    ],
    ['Adapters', answer === undefined ? '—' : formatCount(answer.adaptersInBatch)],
  ] as const
  return (
    <dl className="answer-figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt className="quiet small">{name}</dt>
          <dd className="number">{value}</dd>
        </div>
      ))}
    </dl>
  )
}
