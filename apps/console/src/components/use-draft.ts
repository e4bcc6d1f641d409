import { useState } from 'react'

/** What somebody is writing; it outlasts a reload of the tab. */
export const useDraft = (name: string, initial = ''): [string, (text: string) => void] => {
  const key = `punica.draft.${name}`
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? initial)
  return [
    text,
    (written) => {
      sessionStorage.setItem(key, written)
      setText(written)
    },
  ]
}
