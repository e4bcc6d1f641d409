import { useEffect, useState } from 'react'

const names = [
  'surface',
  'sunken',
  'line',
  'edge',
  'text',
  'text-quiet',
  'accent',
  'accent-fill',
  'good',
  'warn',
  'bad',
  'bad-soft',
] as const

/** The tokens as colours that a canvas takes, by their names. */
export type Palette = Record<(typeof names)[number], string> & { font: string }

const readPalette = (): Palette => {
  const probe = document.createElement('span')
  document.body.append(probe)
  const style = getComputedStyle(probe)
  const colours = names.map((name) => {
    probe.style.color = `var(--${name})`
    return [name, style.color]
  })
  const font = style.fontFamily
  probe.remove()
  return { ...Object.fromEntries(colours), font }
}

/** Read anew whenever the theme changes: by the menu, or by the system. */
export const usePalette = (): Palette => {
  const [palette, setPalette] = useState(readPalette)
  useEffect(() => {
    const read = (): void => setPalette(readPalette())
    const system = window.matchMedia('(prefers-color-scheme: dark)')
    const attribute = new MutationObserver(read)
    attribute.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    system.addEventListener('change', read)
    return () => {
      attribute.disconnect()
      system.removeEventListener('change', read)
    }
  }, [])
  return palette
}
