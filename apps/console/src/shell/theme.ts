import { useState } from 'react'

export type Theme = 'auto' | 'light' | 'dark'

const storageKey = 'punica.theme'

export const readTheme = (): Theme => {
  const stored = localStorage.getItem(storageKey)
  return stored === 'light' || stored === 'dark' ? stored : 'auto'
}

/** `auto` follows the system, by leaving it to the style sheet. */
export const applyTheme = (theme: Theme): void => {
  if (theme === 'auto') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

export const useTheme = (): [Theme, (theme: Theme) => void] => {
  const [theme, setTheme] = useState(readTheme)
  const choose = (chosen: Theme): void => {
    localStorage.setItem(storageKey, chosen)
    applyTheme(chosen)
    setTheme(chosen)
  }
  return [theme, choose]
}
