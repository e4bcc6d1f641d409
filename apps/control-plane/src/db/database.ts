import { PrismaPg } from '@prisma/adapter-pg'
import { AppError } from '@punica/schema'
import { z } from 'zod'
import { Prisma, PrismaClient } from '../generated/prisma/client.ts'

export type Database = PrismaClient
/** A database inside of a transaction. */
export type Transaction = Prisma.TransactionClient

export type DatabaseOptions = {
  url: string
  maxConnections?: number
  /** Told of every statement that is sent. */
  onQuery?: (sql: string) => void
}

/** Opens a pool of connections; `$disconnect()` closes it. */
export const openDatabase = ({ url, maxConnections = 10, onQuery }: DatabaseOptions): Database => {
  const client = new PrismaClient({
    adapter: new PrismaPg({ connectionString: url, max: maxConnections }),
    transactionOptions: { maxWait: 5_000, timeout: 15_000 },
    log: [{ emit: 'event', level: 'query' }],
  })
  if (onQuery !== undefined) client.$on('query', (event) => onQuery(event.query))
  return client
}

/** Whether the database answers a question now. */
export const isAnswering = (db: Database): Promise<boolean> =>
  db.$queryRaw`SELECT 1`.then(
    () => true,
    () => false,
  )

/** Runs `work`, which creates a row; a row that is there already throws `error` instead. */
export const orWhenDuplicate = async <T>(work: Promise<T>, error: Error): Promise<T> => {
  try {
    return await work
  } catch (cause) {
    const known = cause instanceof Prisma.PrismaClientKnownRequestError
    throw known && cause.code === 'P2002' ? error : cause
  }
}

const DriverError = z.object({
  meta: z.object({
    driverAdapterError: z.object({ cause: z.object({ originalCode: z.string() }) }),
  }),
})
/** SQLSTATE character_not_in_repertoire. */
const unusableText = '22021'

/** Text with a NUL is valid in a request, and nothing that Postgres can store or look up. */
export const explainDatabaseError = (cause: unknown): unknown => {
  const { data } = DriverError.safeParse(cause)
  return data?.meta.driverAdapterError.cause.originalCode === unusableText
    ? new AppError('invalid_request', 'A text of the request has a NUL character', { cause })
    : cause
}
