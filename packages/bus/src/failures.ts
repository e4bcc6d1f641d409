import { AppError } from '@punica/schema'

// How a call to another program fails, in the same words on every bus.

export const closed = (): AppError => new AppError('unavailable', 'The connection is closed')

export const cancelled = (): AppError => new AppError('cancelled', 'The caller gave up')

export const noResponders = (subject: string): AppError =>
  new AppError('unavailable', `Nobody answers ${subject} at present; try again`)

export const noAnswer = (subject: string, timeoutMs: number): AppError =>
  new AppError('unavailable', `No answer from ${subject} within ${timeoutMs} ms; try again`)
