import { limits, type WaitingReply, type WaitingRequest } from '@punica/schema'

type Waiting = WaitingReply['requests'][number]

/**
 * Answers a new leader what this gateway waits for, page by page. The list is taken with the first
 * page: what begins later is submitted to that leader anyway.
 */
export const createWaitingPages = (list: () => Waiting[]) => {
  let taken: { epoch: number; requests: Waiting[] } = { epoch: 0, requests: [] }
  const { maxWaitingPerPage } = limits
  return ({ epoch, page }: WaitingRequest): WaitingReply => {
    if (page === 0 || taken.epoch !== epoch) taken = { epoch, requests: list() }
    const end = (page + 1) * maxWaitingPerPage
    const reply = {
      requests: taken.requests.slice(page * maxWaitingPerPage, end),
      isLast: end >= taken.requests.length,
    }
    if (reply.isLast) taken = { epoch: 0, requests: [] }
    return reply
  }
}
