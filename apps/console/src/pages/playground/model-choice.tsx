import { Combobox } from '@base-ui/react/combobox'
import { Check, X } from 'lucide-react'
import { useId, useMemo, useState } from 'react'
import { useQuery } from 'urql'
import { AdapterNamesDocument, BaseModelsDocument } from '../../generated/graphql.ts'

type Props = {
  /** null: none is named yet. */
  tenant: string | null
  models: readonly string[]
  onChange: (models: string[]) => void
  fault: string | null
}

/** As many as the control plane takes at a time. */
const maxModels = 8

/** Chooses models: adapters of the tenant, base models, and whatever else is typed in full. */
export const ModelChoice = ({ tenant, models, onChange, fault }: Props) => {
  const id = useId()
  const [search, setSearch] = useState('')
  const found = useFound(tenant, search)
  const items = useMemo(
    () => [...new Set([...found, ...(search.trim() === '' ? [] : [search.trim()]), ...models])],
    [found, search, models],
  )
  return (
    <Combobox.Root
      items={items}
      multiple
      filter={null}
      value={[...models]}
      onValueChange={(chosen: string[]) => {
        onChange(chosen.slice(0, maxModels))
        setSearch('')
      }}
      inputValue={search}
      onInputValueChange={setSearch}
    >
      <div className="field">
        <label htmlFor={id}>Models</label>
        <Combobox.Chips className="chips">
          {models.map((model) => (
            <Combobox.Chip key={model} className="chip" aria-label={model}>
              {model}
              <Combobox.ChipRemove className="chip-remove" aria-label={`Remove ${model}`}>
                <X size={12} aria-hidden />
              </Combobox.ChipRemove>
            </Combobox.Chip>
          ))}
          <Combobox.Input
            id={id}
            className="chips-input"
            spellCheck={false}
            placeholder={models.length === 0 ? 'Search adapters' : ''}
          />
        </Combobox.Chips>
        <p className="hint">
          Up to {maxModels}. Also <code>name@version</code> and <code>owner/name</code>.
        </p>
        {fault !== null && (
          <p className="fault" role="alert">
            {fault}
          </p>
        )}
      </div>
      <Combobox.Portal>
        <Combobox.Positioner sideOffset={4}>
          <Combobox.Popup className="menu options">
            <Combobox.Empty>
              <div className="menu-label">
                {tenant === null ? 'Name the tenant first.' : 'There is none.'}
              </div>
            </Combobox.Empty>
            <Combobox.List>
              {(model: string) => (
                <Combobox.Item key={model} value={model} className="menu-item">
                  <span className="option-mark">
                    <Combobox.ItemIndicator>
                      <Check size={14} aria-hidden />
                    </Combobox.ItemIndicator>
                  </span>
                  {model}
                </Combobox.Item>
              )}
            </Combobox.List>
          </Combobox.Popup>
        </Combobox.Positioner>
      </Combobox.Portal>
    </Combobox.Root>
  )
}

/** Adapters of the tenant with `search` in their name, then the base models. */
const useFound = (tenant: string | null, search: string): string[] => {
  const [{ data }] = useQuery({
    query: AdapterNamesDocument,
    variables: { tenant, search: search.trim() === '' ? null : search.trim() },
    pause: tenant === null,
  })
  const [{ data: base }] = useQuery({ query: BaseModelsDocument, pause: tenant === null })
  return useMemo(
    () => [
      ...(data?.adapters.edges.map(({ node }) => node.name) ?? []),
      ...(base?.baseModels.map(({ name }) => name).filter((name) => name.includes(search)) ?? []),
    ],
    [data, base, search],
  )
}
