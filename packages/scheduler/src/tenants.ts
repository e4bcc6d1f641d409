import type { Task, TenantRecord, WireError } from '@punica/schema'
import { createTokenWindow, type TokenWindow } from './token-window.ts'

/** What a request was counted as when it came; what it did not use is given back at its end. */
export type Charge = {
  readonly atMs: number
  readonly numTokens: number
  /** Its tenant's turns in the queue have been charged with it, too. */
  isTaken: boolean
}

type Tenant = {
  record: TenantRecord | null
  /** Waiting, on a node, or between two nodes. */
  numRequests: number
  readonly window: TokenWindow
}

/** Most tokens that a new request can come to. */
export const mostTokens = ({ numPromptTokens, maxNewTokens }: Task): number =>
  numPromptTokens + maxNewTokens

/** What each tenant may have at once and in a minute, and what it has. */
export const createTenants = () => {
  const tenants = new Map<string, Tenant>()

  const tenantOf = (slug: string): Tenant => {
    const known = tenants.get(slug)
    if (known !== undefined) return known
    const tenant = { record: null, numRequests: 0, window: createTokenWindow() }
    tenants.set(slug, tenant)
    return tenant
  }

  return {
    setRecord: (slug: string, record: TenantRecord | null): void => {
      tenantOf(slug).record = record
    },
    weightOf: (slug: string): number => tenants.get(slug)?.record?.weight ?? 1,
    countRequests: (slug: string, change: 1 | -1): void => {
      tenantOf(slug).numRequests += change
    },
    /**
     * Why a new request must not be taken; null: it may. `endMs` is how long, at the pace of late, all
     * requests of the pool would take to end.
     */
    refusal: (task: Task, nowMs: number, endMs: number): WireError | null => {
      const { record, numRequests, window } = tenantOf(task.tenant)
      const maxRequests = record?.maxConcurrentRequests ?? null
      if (maxRequests !== null && numRequests >= maxRequests) {
        const retryAfterMs = Math.round(Math.min(30_000, Math.max(1_000, endMs / numRequests)))
        return tooManyRequests(numRequests, maxRequests, retryAfterMs)
      }
      const maxTokens = record?.maxTokensPerMinute ?? null
      const numTokens = mostTokens(task)
      if (maxTokens === null || window.sum(nowMs) + numTokens <= maxTokens) return null
      if (numTokens > maxTokens) return tooLargeForQuota(numTokens, maxTokens)
      const retryAfterMs = window.waitMs(nowMs, maxTokens - numTokens)
      return tooManyTokens(numTokens, window.sum(nowMs), maxTokens, retryAfterMs)
    },
    charge: (task: Task, nowMs: number): Charge => {
      const numTokens = mostTokens(task)
      tenantOf(task.tenant).window.charge(nowMs, numTokens)
      return { atMs: nowMs, numTokens, isTaken: false }
    },
    refund: (slug: string, { atMs }: Charge, numTokens: number, nowMs: number): void => {
      tenantOf(slug).window.refund(nowMs, atMs, numTokens)
    },
    /** Forgets tenants of which there is nothing to remember. */
    prune: (nowMs: number): void => {
      for (const [slug, { record, numRequests, window }] of tenants) {
        if (record === null && numRequests === 0 && window.sum(nowMs) === 0) tenants.delete(slug)
      }
    },
  }
}

export type Tenants = ReturnType<typeof createTenants>

const tooManyRequests = (number: number, max: number, retryAfterMs: number): WireError => ({
  code: 'quota_exceeded',
  message: `The tenant has ${number} requests under way, and its limit is ${max} at once. Wait for one to end.`,
  retryAfterMs,
})

const tooManyTokens = (
  asked: number,
  used: number,
  max: number,
  retryAfterMs: number,
): WireError => ({
  code: 'quota_exceeded',
  message: `The request may come to ${asked} tokens, and the tenant has ${used} of its ${max} tokens per minute in use. Try again later, or lower max_tokens.`,
  retryAfterMs,
})

/** Waiting does not help, so there is no hint to. */
const tooLargeForQuota = (asked: number, max: number): WireError => ({
  code: 'quota_exceeded',
  message: `The request may come to ${asked} tokens, and the tenant's limit is ${max} tokens per minute. Lower max_tokens or shorten the prompt.`,
})
