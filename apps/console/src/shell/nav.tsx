import {
  Building2,
  FlaskConical,
  Layers,
  LayoutDashboard,
  type LucideIcon,
  Server,
} from 'lucide-react'
import { Link, useLocation } from 'wouter'
import { useRights } from '../session/context.tsx'

type Item = { href: string; title: string; Icon: LucideIcon }

const useItems = (): Item[] => {
  const { isOperator, mayAdminister, ownTenant } = useRights()
  return [
    ...(isOperator
      ? [
          { href: '/', title: 'Overview', Icon: LayoutDashboard },
          { href: '/nodes', title: 'Nodes', Icon: Server },
        ]
      : []),
    { href: '/adapters', title: 'Adapters', Icon: Layers },
    ...(isOperator ? [{ href: '/tenants', title: 'Tenants', Icon: Building2 }] : []),
    ...(ownTenant !== null && mayAdminister(ownTenant)
      ? [{ href: `/tenants/${ownTenant}`, title: 'Tenant', Icon: Building2 }]
      : []),
    { href: '/playground', title: 'Playground', Icon: FlaskConical },
  ]
}

export const Nav = () => {
  const [path] = useLocation()
  return (
    <nav className="nav" aria-label="Pages">
      {useItems().map(({ href, title, Icon }) => {
        const isHere = href === '/' ? path === '/' : path.startsWith(href)
        return (
          <Link key={href} href={href} className="nav-item" aria-current={isHere ? 'page' : false}>
            <Icon size={16} aria-hidden />
            <span>{title}</span>
          </Link>
        )
      })}
    </nav>
  )
}
