/** Of a node, which sends a heartbeat every second; its router says sooner that it is lost. */
const maxNodeSilenceMs = 6_000
/** Of the pool, about a request that no node is known to have. */
const maxSilenceMs = 15_000
/** After a pause of our own everybody seems silent: what they said has not been read yet. */
const maxTickIntervalMs = 3_000

/** A request, the node that its tokens come from, and when anything was heard of either last. */
type Heard = { requestId: string; node: string | null; heardMs: number }

/** Notices, at each tick, of which requests nothing has been heard for too long. */
export const createSilence = (startMs: number) => {
  let tickedMs = startMs
  return (nowMs: number, requests: Iterable<Heard>): string[] => {
    const hasPaused = nowMs - tickedMs > maxTickIntervalMs
    tickedMs = nowMs
    if (hasPaused) return []
    return [...requests]
      .filter(({ node, heardMs }) => {
        const limitMs = node === null ? maxSilenceMs : maxNodeSilenceMs
        return nowMs - heardMs > limitMs
      })
      .map(({ requestId }) => requestId)
  }
}
