import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'

const format = /^pk_([a-z0-9]{12})_[A-Za-z0-9_-]{43}$/
const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** What is kept of a key: the part by which it is found, and the sha256 of the whole, hex. */
export type KeyIdentity = { prefix: string; hash: string }

/** A new key with 256 random bits, `pk_<prefix>_<secret>`. Only its identity may be stored. */
export const createKey = (): KeyIdentity & { secret: string } => {
  const prefix = Array.from({ length: 12 }, () => alphabet.charAt(randomInt(36))).join('')
  const secret = `pk_${prefix}_${randomBytes(32).toString('base64url')}`
  return { prefix, hash: hashOf(secret), secret }
}

/** The identity of a key, or null where the text is none. */
export const parseKey = (text: string): KeyIdentity | null => {
  const prefix = format.exec(text)?.[1]
  return prefix === undefined ? null : { prefix, hash: hashOf(text) }
}

/** Compares in constant time, so that answers do not tell how much of a hash was right. */
export const isSameHash = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))

// The key has 256 random bits, so a slow hash would add nothing.
const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex')
