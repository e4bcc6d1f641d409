import { isUtf8 } from 'node:buffer'
import { AppError } from '@punica/schema'
import type { FastifyInstance } from 'fastify'

/**
 * Reads JSON bodies as the server would by itself, but refuses bytes that are not UTF-8: replaced by
 * U+FFFD, as decoders do, they would become another prompt than the client sent.
 */
export const readJsonBodies = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (typeof body !== 'string' && !isUtf8(body)) {
      done(new AppError('invalid_request', 'body: is not valid UTF-8'))
    } else parse(request, body.toString(), done)
  })
}
