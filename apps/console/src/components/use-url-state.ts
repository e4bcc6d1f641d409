import { useCallback } from 'react'
import { useSearchParams } from 'wouter'
import type { Order } from './data-table.tsx'

/** A word of the page's address, so that a view can be bookmarked and sent to others. */
export const useUrlWord = (name: string): [string, (value: string) => void] => {
  const [params, setParams] = useSearchParams()
  const set = useCallback(
    (value: string): void => {
      setParams(
        (before) => {
          const after = new URLSearchParams(before)
          if (value === '') after.delete(name)
          else after.set(name, value)
          return after
        },
        { replace: true },
      )
    },
    [name, setParams],
  )
  return [params.get(name) ?? '', set]
}

/** The order of a table in the page's address, as `FIELD` or `-FIELD`. */
export const useUrlOrder = <Field extends string>(
  fields: readonly Field[],
  standard: Order<Field>,
): [Order<Field>, (order: Order<Field>) => void] => {
  const [word, setWord] = useUrlWord('sort')
  const field = fields.find((name) => name === word.replace(/^-/, ''))
  const order: Order<Field> =
    field === undefined ? standard : { field, direction: word.startsWith('-') ? 'DESC' : 'ASC' }
  return [order, ({ field, direction }) => setWord(direction === 'DESC' ? `-${field}` : field)]
}

/** One of a few words of the page's address. */
export const useUrlChoice = <Choice extends string>(
  name: string,
  choices: readonly Choice[],
): [Choice | null, (choice: Choice | null) => void] => {
  const [word, setWord] = useUrlWord(name)
  return [choices.find((choice) => choice === word) ?? null, (choice) => setWord(choice ?? '')]
}
