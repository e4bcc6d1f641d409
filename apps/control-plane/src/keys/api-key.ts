import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** What is kept of a key: the part by which it is found, and the sha256 of the whole, hex. */
export type KeyIdentity = { prefix: string; hash: string }

/** `pk`: an API key. `pj`: a token by which nodes join. */
type KeyKind = 'pk' | 'pj'

/** A new key with 256 random bits, `pk_<prefix>_<secret>`. Only its identity may be stored. */
export const createKey = (kind: KeyKind = 'pk'): KeyIdentity & { secret: string } => {
  const prefix = Array.from({ length: 12 }, () => alphabet.charAt(randomInt(36))).join('')
  const secret = `${kind}_${prefix}_${randomBytes(32).toString('base64url')}`
  return { prefix, hash: hashOf(secret), secret }
}

/** The identity of a key, or null where the text is none. */
export const parseKey = (text: string, kind: KeyKind = 'pk'): KeyIdentity | null => {
  const found = /^(p[kj])_([a-z0-9]{12})_[A-Za-z0-9_-]{43}$/.exec(text)
  const prefix = found?.[2]
  return prefix === undefined || found?.[1] !== kind ? null : { prefix, hash: hashOf(text) }
}

/** Compares in constant time, so that answers do not tell how much of a hash was right. */
export const isSameHash = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))

/** Compared with where no key was found, so that the answer takes as long. */
export const noHash = '0'.repeat(64)

// The key has 256 random bits, so a slow hash would add nothing.
const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex')
