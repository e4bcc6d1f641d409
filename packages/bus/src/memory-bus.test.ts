import { channels } from '@punica/schema'
import { describe, expect, it } from 'vitest'
import { busContract } from './bus-contract.ts'
import { memoryBus } from './memory-bus.ts'

busContract('memoryBus', async (onProblem) => memoryBus({ onProblem }))

describe('memoryBus', () => {
  it('throws at the sender of a wrong message', () => {
    const status = { gatewayId: 'NOT A SLUG', requests: 0, leaving: false }
    expect(() => memoryBus().publish(channels.gatewayStatus('default'), status)).toThrow(
      'wrong message for punica.pool.default.gateways',
    )
  })
})
