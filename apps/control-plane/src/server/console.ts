import path from 'node:path'
import express, { type RequestHandler, Router } from 'express'

/** The console talks to its own origin and to nothing else, and stands in nobody's frame. */
const contentSecurityPolicy = [
  "default-src 'self'",
  "connect-src 'self' ws: wss:",
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

/** Serves the built web console; every path that a browser opens is its index, which routes. */
export const serveConsole = (folder: string): RequestHandler =>
  Router()
    .use((_request, response, next) => {
      response.set('content-security-policy', contentSecurityPolicy)
      response.set('x-content-type-options', 'nosniff')
      next()
    })
    // The names of these files carry a hash of what is in them.
    .use('/assets', express.static(path.join(folder, 'assets'), { immutable: true, maxAge: '1y' }))
    .use(express.static(folder, { maxAge: 0 }))
    .get('/{*page}', (request, response, next) => {
      if (request.accepts(['json', 'html']) !== 'html') next()
      else response.sendFile(path.join(folder, 'index.html'), { maxAge: 0 })
    })
