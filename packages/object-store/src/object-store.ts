import type { Digest } from '@punica/schema'

export type StoredObject = { digest: Digest; sizeBytes: number }

export type ObjectHead = { sizeBytes: number; storedAtMs: number }

export type PutOptions = {
  /** More than this rejects with AppError `payload_too_large`. */
  maxBytes: number
  /** What the content must have as its sha256; another rejects with `invalid_request`. */
  digest?: Digest
}

/**
 * Immutable bytes by their sha256. No object is ever held in memory whole, by reader or writer.
 * Every call rejects with AppError `unavailable` when the store cannot be reached.
 */
export type ObjectStore = {
  /**
   * Reads the source to its end and stores it. What fails midway, the source included, leaves
   * nothing behind; what is there already is not stored again.
   */
  put(source: AsyncIterable<Uint8Array>, options: PutOptions): Promise<StoredObject>
  /**
   * The content, checked while it streams: the iteration fails with `not_found`, or with `internal`
   * where the stored bytes are not those of the digest. The last chunk comes before that is known.
   */
  get(digest: Digest): AsyncIterable<Uint8Array>
  head(digest: Digest): Promise<ObjectHead | null>
  /** Deleting what is not there is no error. */
  delete(digest: Digest): Promise<void>
  /** The digests of all objects, each once, in no order. What comes or goes meanwhile may be missed. */
  list(): AsyncIterable<Digest>
  /**
   * Removes what writers left that died in the middle of a `put`: bytes that are no object and to
   * which nothing was added for `idleMs`. Resolves to how many such writers there were.
   */
  sweep(options: { idleMs: number }): Promise<number>
}
