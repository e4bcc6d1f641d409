import { plural } from '../../format.ts'
import type { Answer, Run } from './use-run.ts'

/** Tokens a second behind the first one; null while there are fewer than two. */
export const speedOf = ({ numTokens, generationMs }: Answer): number | null =>
  numTokens < 2 || generationMs <= 0 ? null : ((numTokens - 1) * 1000) / generationMs

/** Where the answers came from, in a sentence; empty while none has. */
export const describeRun = ({ answers, models }: Run): string => {
  const begun = Object.values(answers).filter(({ nodeId }) => nodeId !== null)
  if (begun.length === 0) return ''
  const nodes = [...new Set(begun.map(({ nodeId }) => nodeId))]
  const most = Math.max(...begun.map(({ adaptersInBatch }) => adaptersInBatch))
  const speed = begun.reduce((sum, answer) => sum + (speedOf(answer) ?? 0), 0)
  const where = nodes.length === 1 ? `one GPU, ${nodes[0]}` : plural(nodes.length, 'GPU')
  const batch = `${plural(most, 'distinct adapter')} in one batch`
  return `${begun.length} of ${plural(models.length, 'model')} on ${where}; up to ${batch}; ${Math.round(speed)} tokens/s together.`
}
