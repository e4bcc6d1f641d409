import { S3ServiceException } from '@aws-sdk/client-s3'
import { AppError } from '@punica/schema'

/** Null where S3 says that there is no such thing. */
export const orNull = <T>(promise: Promise<T>): Promise<T | null> =>
  promise.catch((cause: unknown) => {
    if (cause instanceof S3ServiceException && cause.$metadata.httpStatusCode === 404) return null
    throw unavailable(cause)
  })

export const orUnavailable = <T>(promise: Promise<T>): Promise<T> =>
  promise.catch((cause: unknown) => {
    throw unavailable(cause)
  })

/** The same for what comes bit by bit. */
export async function* orBrokenOff<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* source
  } catch (cause) {
    throw unavailable(cause)
  }
}

const unavailable = (cause: unknown): AppError =>
  new AppError('unavailable', 'The object store cannot be reached; try again', { cause })
