import type { CredentialState as State } from '../../generated/graphql.ts'

const words: Record<State, [word: string, tone: string]> = {
  ACTIVE: ['Active', 'good'],
  EXPIRED: ['Expired', ''],
  REVOKED: ['Revoked', ''],
  USED: ['Used', ''],
}

export const CredentialState = ({ state }: { state: State }) => {
  const [word, tone] = words[state]
  return <span className={`tag ${tone}`}>{word}</span>
}
