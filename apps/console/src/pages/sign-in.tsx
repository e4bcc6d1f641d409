import { useState } from 'react'

/** Asks for an API key; whether it holds is seen with the first query. */
export const SignInPage = ({ onSignIn }: { onSignIn: (key: string) => void }) => {
  const [key, setKey] = useState('')
  return (
    <main className="sign-in">
      <h1>Punica</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (key.trim() !== '') onSignIn(key.trim())
        }}
      >
        <label htmlFor="key">API key of an operator or a tenant admin</label>
        <input
          id="key"
          type="password"
          autoComplete="current-password"
          value={key}
          onChange={(event) => setKey(event.target.value)}
        />
        <button type="submit">Sign in</button>
      </form>
    </main>
  )
}
