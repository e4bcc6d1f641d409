export { memoryObjectStore } from './memory-store.ts'
export { natsObjectStore } from './nats-store.ts'
export type { ObjectStore, PutOptions, StoredObject } from './object-store.ts'
