import { Tabs as Parts } from '@base-ui/react/tabs'
import type { ReactNode } from 'react'
import { useUrlWord } from './use-url-state.ts'
import './tabs.css'

type Tab = { name: string; title: string; render: () => ReactNode }

/** Parts of a page, one at a time; which one stands in the address. */
export const Tabs = ({ label, tabs }: { label: string; tabs: readonly Tab[] }) => {
  const [chosen, choose] = useUrlWord('tab')
  const current = tabs.find(({ name }) => name === chosen) ?? tabs[0]
  return (
    <Parts.Root
      value={current?.name}
      onValueChange={(name: string) => choose(name === tabs[0]?.name ? '' : name)}
      className="stack"
    >
      <Parts.List className="tabs" aria-label={label}>
        {tabs.map(({ name, title }) => (
          <Parts.Tab key={name} value={name} className="tab">
            {title}
          </Parts.Tab>
        ))}
      </Parts.List>
      {tabs.map(({ name, render }) => (
        <Parts.Panel key={name} value={name} className="stack">
          {render()}
        </Parts.Panel>
      ))}
    </Parts.Root>
  )
}
