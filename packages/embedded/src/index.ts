export { dieWithParent } from './die-with-parent.ts'
export { findNatsServer } from './find-nats-server.ts'
export { freePort } from './free-port.ts'
export { type PostgresServer, startPostgres } from './postgres.ts'
