import { useEffect, useId, useState } from 'react'
import { createClient, fetchExchange } from 'urql'
import { toProblem } from '../connection/problem.ts'
import { ViewerDocument } from '../generated/graphql.ts'
import { keepKey, readKey, type Session } from './session.ts'
import './sign-in.css'

type Props = {
  /** Why one has to sign in, where it is not the first time. */
  message?: string | undefined
  onSignIn: (session: Session) => void
}

const retryMs = 2_000

/** Asks who the key belongs to; the answer is the session, or what is wrong with the key. */
const signIn = async (key: string): Promise<Session | { code: string; message: string }> => {
  const { data, error } = await createClient({
    url: new URL('/graphql', window.location.href).href,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${key}` } },
    exchanges: [fetchExchange],
  }).query(ViewerDocument, {})
  if (data) return { key, viewer: data.viewer }
  return error === undefined ? { code: 'internal', message: 'No answer' } : toProblem(error)
}

/** The form alone; a key that this tab has from before is tried at once. */
export const SignInForm = ({ message, onSignIn }: Props) => {
  const id = useId()
  const [key, setKey] = useState('')
  const [fault, setFault] = useState<string | undefined>(message)
  const [isBusy, setIsBusy] = useState(false)

  const enter = async (entered: string): Promise<'unreachable' | null> => {
    const result = await signIn(entered)
    if ('viewer' in result) {
      keepKey(entered)
      onSignIn(result)
      return null
    }
    setFault(result.message)
    return result.code === 'unreachable' ? 'unreachable' : null
  }

  useStoredKey(message === undefined, enter)

  return (
    <form
      className="sign-in-form"
      onSubmit={async (event) => {
        event.preventDefault()
        if (key.trim() === '') return
        setIsBusy(true)
        await enter(key.trim())
        setIsBusy(false)
      }}
    >
      <div className="field">
        <label htmlFor={id}>API key</label>
        <input
          id={id}
          className="input mono"
          type="password"
          autoComplete="current-password"
          spellCheck={false}
          placeholder="pk_…"
          value={key}
          aria-invalid={fault !== undefined}
          aria-describedby={`${id}-hint ${id}-fault`}
          onChange={(event) => setKey(event.target.value)}
        />
        <p id={`${id}-hint`} className="hint">
          An operator’s key, as <code>punica up</code> prints it, or a key of your tenant. It stays
          in this tab.
        </p>
        <p id={`${id}-fault`} className="fault" role="alert">
          {fault}
        </p>
      </div>
      <button type="submit" className="button primary" disabled={isBusy}>
        {isBusy ? 'Signing in…' : 'Sign in'}
      </button>
    </form>
  )
}

/** Goes on trying while nobody answers: a reload during an outage must not end the session. */
const useStoredKey = (isWanted: boolean, enter: (key: string) => Promise<'unreachable' | null>) => {
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, with the page
  useEffect(() => {
    const stored = isWanted ? readKey() : null
    let timer: ReturnType<typeof setTimeout> | undefined
    let isOver = false
    const attempt = async (key: string): Promise<void> => {
      const outcome = await enter(key)
      if (outcome === 'unreachable' && !isOver) timer = setTimeout(() => attempt(key), retryMs)
    }
    if (stored !== null) attempt(stored)
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [])
}

/** The whole page of somebody who has not signed in. */
export const SignInPage = (props: Props) => (
  <main className="sign-in">
    <div className="sign-in-card">
      <h1>Punica</h1>
      <p className="quiet">
        One base model, thousands of adapters, as few GPUs as the traffic needs.
      </p>
      <SignInForm {...props} />
    </div>
  </main>
)
