import { Suspense, useEffect, useRef } from 'react'
import { useLocation } from 'wouter'
import { preload } from '../components/lazily.tsx'
import { Skeleton } from '../components/skeleton.tsx'
import { Toasts } from '../components/toasts.tsx'
import { useStatus } from '../connection/status.ts'
import { useSession } from '../session/context.tsx'
import { Account } from './account.tsx'
import { Nav } from './nav.tsx'
import { OutageBanner } from './outage-banner.tsx'
import { PageBoundary } from './page-boundary.tsx'
import { Pages } from './pages.tsx'
import './shell.css'

/** The frame of every page: where one can go, who one is, and whether what one sees is live. */
export const Shell = () => {
  const status = useStatus(useSession().connection.status)
  const [path] = useLocation()
  useEffect(preload, [])
  return (
    <Toasts>
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <div className="shell">
        <header className="shell-bar">
          <span className="brand">Punica</span>
          <Nav />
          <Account status={status} />
        </header>
        <main id="page" className="shell-page" tabIndex={-1} ref={useFocusOnArrival()}>
          {status === 'lost' && <OutageBanner />}
          <PageBoundary key={path}>
            <Suspense fallback={<Skeleton />}>
              <Pages />
            </Suspense>
          </PageBoundary>
        </main>
      </div>
    </Toasts>
  )
}

/** Keyboard and screen reader begin at the top of a page that has just been opened. */
const useFocusOnArrival = () => {
  const main = useRef<HTMLElement>(null)
  const [path] = useLocation()
  const arrivedAt = useRef(path)
  useEffect(() => {
    if (arrivedAt.current === path) return
    arrivedAt.current = path
    main.current?.focus({ preventScroll: true })
    window.scrollTo(0, 0)
  }, [path])
  return main
}
