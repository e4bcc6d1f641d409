export { type AccountClaims, connectAccountClaims, type Revocations } from './account-claims.ts'
export type {
  Bus,
  Delivery,
  Problem,
  PublishOptions,
  Records,
  RecordUpdate,
  RequestOptions,
  ScannedRecord,
  Stop,
  StreamMessage,
  StreamPosition,
  StreamReader,
  SubscribeOptions,
} from './bus.ts'
export {
  type Authority,
  accountOf,
  type CredentialRequest,
  createAuthority,
  type IssuedCredentials,
  inboxPrefixOf,
  issueCredentials,
} from './credentials.ts'
export { type MemoryBusOptions, memoryBus } from './memory-bus.ts'
export { type BusOptions, connectBus, isReachable } from './nats-bus.ts'
export { type BusLog, connectNats, type NatsOptions } from './nats-connection.ts'
export { type NatsServer, type SpawnOptions, spawnNatsServer } from './nats-server.ts'
export { type ServerOptions, toServerConfig } from './server-config.ts'
