export { type Client, type ConnectOptions, connectClient, createClient } from './client.ts'
export type { GenerateOptions, GenerationEvent } from './generation.ts'
