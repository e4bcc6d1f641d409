export { memoryObjectStore } from './memory-store.ts'
export { natsObjectStore } from './nats-store.ts'
export type { ObjectHead, ObjectStore, PutOptions, StoredObject } from './object-store.ts'
export { openObjectStore } from './open.ts'
