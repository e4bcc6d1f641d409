import { createContext, useContext } from 'react'
import type { Connection } from '../connection/client.ts'
import type { Session } from './session.ts'

type SignedIn = { session: Session; connection: Connection; signOut: () => void }

export const SessionContext = createContext<SignedIn | null>(null)

/** Everything about who has signed in; for what stands below the shell. */
export const useSession = (): SignedIn => {
  const signedIn = useContext(SessionContext)
  if (signedIn === null) throw new Error('There is no session here')
  return signedIn
}

/** What the role lets one do; everything else is not shown. */
export const useRights = () => {
  const { viewer } = useSession().session
  return {
    isOperator: viewer.role === 'OPERATOR',
    /** May change what belongs to `tenant`. */
    mayAdminister: (tenant: string) =>
      viewer.role === 'OPERATOR' ||
      (viewer.role === 'TENANT_ADMIN' && viewer.tenant?.slug === tenant),
    ownTenant: viewer.tenant?.slug ?? null,
  }
}
