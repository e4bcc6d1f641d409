import { afterAll, beforeAll } from 'vitest'
import { busContract } from './bus-contract.ts'
import { connectBus } from './nats-bus.ts'
import { startNatsServer, type TestNatsServer } from './testing.ts'

let server: TestNatsServer

beforeAll(async () => {
  server = await startNatsServer()
})
afterAll(() => server.stop())

busContract('connectBus', (onProblem) => connectBus({ url: server.url, onProblem }))
