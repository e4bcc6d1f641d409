import { Menu } from '@base-ui/react/menu'
import { Check, CircleUser, LogOut, Monitor, Moon, Sun } from 'lucide-react'
import type { State } from '../connection/status.ts'
import { useSession } from '../session/context.tsx'
import { type Theme, useTheme } from './theme.ts'

const roles = {
  OPERATOR: 'Operator',
  TENANT_ADMIN: 'Tenant admin',
  TENANT_USER: 'Tenant user',
} as const

const states = { connecting: 'Connecting', live: 'Live', lost: 'Offline' } as const

const themes = [
  { value: 'auto', title: 'As the system', Icon: Monitor },
  { value: 'light', title: 'Light', Icon: Sun },
  { value: 'dark', title: 'Dark', Icon: Moon },
] as const satisfies readonly { value: Theme; title: string; Icon: typeof Sun }[]

/** Whether the page is live, who has signed in, the theme, and the way out. */
export const Account = ({ status }: { status: State }) => {
  const { session, signOut } = useSession()
  const [theme, setTheme] = useTheme()
  const { role, tenant } = session.viewer
  return (
    <div className="account">
      <span className={`live ${status}`} role="status">
        {states[status]}
      </span>
      <Menu.Root>
        <Menu.Trigger className="button plain account-button" aria-label="Account and theme">
          <CircleUser size={16} aria-hidden />
          <span className="account-name">{tenant?.name ?? roles[role]}</span>
        </Menu.Trigger>
        <Menu.Portal>
          <Menu.Positioner sideOffset={6} align="end">
            <Menu.Popup className="menu">
              <div className="menu-label">
                {roles[role]}
                {tenant !== null && ` of ${tenant.name}`}
              </div>
              <Menu.RadioGroup value={theme} onValueChange={setTheme}>
                {themes.map(({ value, title, Icon }) => (
                  <Menu.RadioItem key={value} value={value} className="menu-item">
                    <Icon size={14} aria-hidden />
                    {title}
                    <Menu.RadioItemIndicator className="spread">
                      <Check size={14} aria-hidden />
                    </Menu.RadioItemIndicator>
                  </Menu.RadioItem>
                ))}
              </Menu.RadioGroup>
              <Menu.Item className="menu-item" onClick={signOut}>
                <LogOut size={14} aria-hidden />
                Sign out
              </Menu.Item>
            </Menu.Popup>
          </Menu.Positioner>
        </Menu.Portal>
      </Menu.Root>
    </div>
  )
}
