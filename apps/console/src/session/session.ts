import type { ViewerQuery } from '../generated/graphql.ts'

/** Who has signed in, with which key. */
export type Session = { key: string; viewer: ViewerQuery['viewer'] }

const storageKey = 'punica.key'

/** The API key of this browser tab; it is gone when the tab is closed. */
export const readKey = (): string | null => sessionStorage.getItem(storageKey)

export const keepKey = (key: string): void => sessionStorage.setItem(storageKey, key)

export const forgetKey = (): void => sessionStorage.removeItem(storageKey)
