import { useEffect, useState } from 'react'
import { Provider } from 'urql'
import { type Connection, connect } from './connection/client.ts'
import { SessionContext } from './session/context.tsx'
import { forgetKey, type Session } from './session/session.ts'
import { SignInPage } from './session/sign-in.tsx'
import { SignInAgain } from './session/sign-in-again.tsx'
import { Shell } from './shell/shell.tsx'

/** Sign-in, then the console. A key that ceases to hold is asked for above the page, which stays. */
export const App = () => {
  const [session, setSession] = useState<Session | null>(null)
  const [refusal, setRefusal] = useState<string | null>(null)
  const connection = useConnection(session?.key ?? null, setRefusal)

  if (session === null) return <SignInPage onSignIn={setSession} />
  if (connection === null) return null
  const signOut = (): void => {
    forgetKey()
    setRefusal(null)
    setSession(null)
  }
  const { role, tenant } = session.viewer
  return (
    <SessionContext value={{ session, connection, signOut }}>
      <Provider value={connection.client}>
        <Shell key={`${role} ${tenant?.slug}`} />
        {refusal !== null && (
          <SignInAgain
            message={refusal}
            onSignOut={signOut}
            onSignIn={(renewed) => {
              setRefusal(null)
              setSession(renewed)
            }}
          />
        )}
      </Provider>
    </SessionContext>
  )
}

const useConnection = (
  key: string | null,
  onRefused: (message: string) => void,
): Connection | null => {
  const [connection, setConnection] = useState<Connection | null>(null)
  useEffect(() => {
    if (key === null) return
    const opened = connect(key, onRefused)
    setConnection(opened)
    return () => opened.close()
  }, [key, onRefused])
  return key === null ? null : connection
}
