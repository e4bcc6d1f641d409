import { admitWaiting } from './admit.ts'
import { cancel } from './requests.ts'
import { gatewayOf, type State } from './state.ts'

export const gatewayReported = (
  state: State,
  { gatewayId, leaving }: { gatewayId: string; leaving: boolean },
): void => {
  if (leaving) {
    loseGateway(state, gatewayId, 'its gateway has left')
    admitWaiting(state)
  } else state.gateways.set(gatewayId, state.nowMs)
}

/** Nobody would receive the tokens of a gateway that has said nothing for too long. */
export const loseSilentGateways = (state: State): void => {
  for (const [gatewayId, seenMs] of state.gateways) {
    const silentMs = state.nowMs - seenMs
    if (silentMs <= state.options.heartbeatTimeoutMs) continue
    loseGateway(state, gatewayId, `its gateway has been silent for ${silentMs} ms`)
  }
}

const loseGateway = (state: State, gatewayId: string, reason: string): void => {
  state.gateways.delete(gatewayId)
  for (const request of [...state.requests.values()]) {
    if (gatewayOf(request) === gatewayId) cancel(state, request, reason)
  }
}
