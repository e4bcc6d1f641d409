import { useMemo, useState } from 'react'
import { Provider } from 'urql'
import { Link, Route, Switch } from 'wouter'
import { connect } from './client.ts'
import { AdaptersPage } from './pages/adapters.tsx'
import { OverviewPage } from './pages/overview.tsx'
import { SignInPage } from './pages/sign-in.tsx'
import { forgetKey, keepKey, readKey } from './session.ts'

export const App = () => {
  const [key, setKey] = useState(readKey)
  const client = useMemo(() => (key === null ? null : connect(key)), [key])
  if (client === null) {
    return (
      <SignInPage
        onSignIn={(entered) => {
          keepKey(entered)
          setKey(entered)
        }}
      />
    )
  }
  return (
    <Provider value={client}>
      <header>
        <strong>Punica</strong>
        <nav aria-label="Pages">
          <Link href="/">Overview</Link>
          <Link href="/adapters">Adapters</Link>
        </nav>
        <button
          type="button"
          onClick={() => {
            forgetKey()
            setKey(null)
          }}
        >
          Sign out
        </button>
      </header>
      <main>
        <Switch>
          <Route path="/" component={OverviewPage} />
          <Route path="/adapters" component={AdaptersPage} />
          <Route>No such page.</Route>
        </Switch>
      </main>
    </Provider>
  )
}
