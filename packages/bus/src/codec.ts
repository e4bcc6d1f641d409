import { AppError, type Channel, limits } from '@punica/schema'

type Schema<T> = Channel<T>['schema']

export type Decoded<T> = { ok: true; value: T } | { ok: false; error: unknown }

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Parses the bytes of a message; a message that is not what its channel carries is a value. */
export const decode = <T>(schema: Schema<T>, data: Uint8Array): Decoded<T> => {
  try {
    const parsed = schema.safeParse(JSON.parse(decoder.decode(data)))
    return parsed.success ? { ok: true, value: parsed.data } : { ok: false, error: parsed.error }
  } catch (error) {
    return { ok: false, error }
  }
}

const encoder = new TextEncoder()

/** Throws AppError `payload_too_large` above `maxBytes`. */
export const encode = (message: unknown, maxBytes: number = limits.messageBytes): Uint8Array => {
  const data = encoder.encode(JSON.stringify(message))
  if (data.length > maxBytes) throw tooLarge(data.length, maxBytes)
  return data
}

export const tooLarge = (numBytes: number, maxBytes: number): AppError =>
  new AppError(
    'payload_too_large',
    `The message has ${numBytes} bytes; the limit is ${maxBytes}. Send less in one message`,
  )

/** What records are written in. Whatever older programs would not understand makes it one more. */
const recordFormat = 1

export const encodeRecord = (record: unknown): Uint8Array =>
  encode(Object.assign({ format: recordFormat }, record))

/** Reads what `encodeRecord` wrote; a record of another format is a value that does not parse. */
export const decodeRecord = <T>(schema: Schema<T>, data: Uint8Array): Decoded<T> => {
  try {
    const { format, ...record } = JSON.parse(decoder.decode(data))
    if (format !== recordFormat) {
      const message = `This record has format ${format}, and this program reads format ${recordFormat}. Upgrade the older of the two programs`
      return { ok: false, error: new AppError('invalid_request', message) }
    }
    const parsed = schema.safeParse(record)
    return parsed.success ? { ok: true, value: parsed.data } : { ok: false, error: parsed.error }
  } catch (error) {
    return { ok: false, error }
  }
}
