import { Redirect, Route, Switch } from 'wouter'
import { Empty } from '../components/empty.tsx'
import { lazily } from '../components/lazily.tsx'
import { useRights } from '../session/context.tsx'

const OverviewPage = lazily(
  async () => (await import('../pages/overview/overview.tsx')).OverviewPage,
)
const NodesPage = lazily(async () => (await import('../pages/nodes/nodes.tsx')).NodesPage)
const NodePage = lazily(async () => (await import('../pages/nodes/node.tsx')).NodePage)
const AdaptersPage = lazily(
  async () => (await import('../pages/adapters/adapters.tsx')).AdaptersPage,
)
const AdapterPage = lazily(async () => (await import('../pages/adapters/adapter.tsx')).AdapterPage)
const TenantsPage = lazily(async () => (await import('../pages/tenants/tenants.tsx')).TenantsPage)
const TenantPage = lazily(async () => (await import('../pages/tenants/tenant.tsx')).TenantPage)
const PlaygroundPage = lazily(
  async () => (await import('../pages/playground/playground.tsx')).PlaygroundPage,
)

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
