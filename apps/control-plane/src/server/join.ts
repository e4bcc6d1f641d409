import type { RequestHandler } from 'express'
import { joinNode } from '../nodes/join.ts'
import type { Deps } from './context.ts'

/** POST /nodes/join with `{"token", "nodeId"}`; the token is all that it asks for. */
export const createJoinHandler =
  ({ db, projector, accountClaims, settings }: Deps): RequestHandler =>
  async (request, response, next) => {
    try {
      const deps = { db, projector, accountClaims, accountSeed: settings.natsAccountSeed }
      response.set('cache-control', 'no-store')
      response.json(await joinNode(deps, request.body))
    } catch (cause) {
      next(cause)
    }
  }
