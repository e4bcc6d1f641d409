import { type ComponentType, lazy } from 'react'
import { Redirect, Route, Switch } from 'wouter'
import { Empty } from '../components/empty.tsx'
import { useRights } from '../session/context.tsx'

const loads: (() => Promise<unknown>)[] = []

/** A page that is fetched when it is first opened, or a moment after the first one is there. */
const page = <Props extends object>(load: () => Promise<ComponentType<Props>>) => {
  loads.push(load)
  return lazy(async () => ({ default: await load() }))
}

const OverviewPage = page(async () => (await import('../pages/overview/overview.tsx')).OverviewPage)
const NodesPage = page(async () => (await import('../pages/nodes/nodes.tsx')).NodesPage)
const NodePage = page(async () => (await import('../pages/nodes/node.tsx')).NodePage)
const AdaptersPage = page(async () => (await import('../pages/adapters/adapters.tsx')).AdaptersPage)
const AdapterPage = page(async () => (await import('../pages/adapters/adapter.tsx')).AdapterPage)
const TenantsPage = page(async () => (await import('../pages/tenants/tenants.tsx')).TenantsPage)
const TenantPage = page(async () => (await import('../pages/tenants/tenant.tsx')).TenantPage)
const PlaygroundPage = page(
  async () => (await import('../pages/playground/playground.tsx')).PlaygroundPage,
)

/** Fetches the other pages once the browser has nothing better to do: in an outage they are there. */
export const preloadPages = (): void => {
  const load = (): void => {
    // One that cannot be had now is fetched when it is opened, and says then what is wrong.
    for (const one of loads) one().catch(() => {})
  }
  if ('requestIdleCallback' in window) window.requestIdleCallback(load)
  else setTimeout(load, 1_000)
}

/** The page at the address, as far as the role may see it. */
export const Pages = () => {
  const { isOperator, mayAdminister } = useRights()
  return (
    <Switch>
      <Route path="/">{isOperator ? <OverviewPage /> : <Redirect to="/adapters" replace />}</Route>
      <Route path="/nodes">{isOperator ? <NodesPage /> : <NoPage />}</Route>
      <Route path="/nodes/:id">
        {({ id }) => (isOperator ? <NodePage key={id} id={id} /> : <NoPage />)}
      </Route>
      <Route path="/adapters">
        <AdaptersPage />
      </Route>
      <Route path="/adapters/:tenant/:name">
        {({ tenant, name }) => (
          <AdapterPage key={`${tenant}/${name}`} tenant={tenant} name={name} />
        )}
      </Route>
      <Route path="/tenants">{isOperator ? <TenantsPage /> : <NoPage />}</Route>
      <Route path="/tenants/:slug">
        {({ slug }) => (mayAdminister(slug) ? <TenantPage key={slug} slug={slug} /> : <NoPage />)}
      </Route>
      <Route path="/playground">
        <PlaygroundPage />
      </Route>
      <Route>
        <NoPage />
      </Route>
    </Switch>
  )
}

const NoPage = () => <Empty title="There is no such page">Choose one of those in the menu.</Empty>
