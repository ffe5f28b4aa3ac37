/**
 * A request with everything around it: choice of the URL, failover, retries, hooks. The loop executes what
 * retry-plan.ts decides.
 *
 * Invariant: it rejects with a QueenError that says where and how often was tried, or with the reason of the abort.
 */
import { isRecord } from '../errors/from-answer.ts'
import { QueenError } from '../errors/queen-error.ts'
import { messagingAttributes } from '../observe/attributes.ts'
import { type Emit, type RequestInfo, type ResponseInfo, runInHook } from '../observe/hooks.ts'
import type { Log } from '../observe/logger.ts'
import type { Settings } from '../options.ts'
import type { Lifecycle } from '../shutdown/lifecycle.ts'
import { linkAbort, sleep } from '../timing/abort.ts'
import { createBackendHealth, marksUnhealthy } from './backend-health.ts'
import type { Answer, Call, FinalAnswer, Send } from './call.ts'
import { createLoadBalancer } from './load-balancer.ts'
import { buildHeaders, requestOnce } from './one-request.ts'
import { afterFailure, startRound } from './retry-plan.ts'

export interface TransportParts {
  readonly settings: Settings
  readonly log: Log
  readonly emit: Emit
  readonly lifecycle: Pick<Lifecycle, 'dead' | 'beginRequest'>
}

export function createSend({ settings, log, emit, lifecycle }: TransportParts): Send {
  const health = createBackendHealth(settings.healthRetryAfterMillis)
  const balancer = createLoadBalancer(settings, health)
  // Everything without a key of its own stays on one broker while that is healthy.
  const ownKey = `client:${Math.random().toString(36).slice(2)}`

  const urlsFor = (call: Call): string[] => {
    const urls = balancer.candidates(call.affinityKey ?? ownKey, Date.now())
    return settings.enableFailover ? urls : urls.slice(0, 1)
  }

  const attempt = async (call: Call, base: string, attempts: number): Promise<Answer> => {
    const url = base + call.path
    const building = buildHeaders(settings, call, url)
    const headers = building instanceof Promise ? await building : building
    const hook = settings.hooks.request?.bind(settings.hooks)
    if (hook === undefined) return requestOnce(settings, call, url, headers)
    const info: RequestInfo = {
      operation: call.operation,
      method: call.method,
      url,
      attempt: attempts,
      headers,
      attributes: messagingAttributes(call.destination ?? {}, base),
      messages: call.messages?.() ?? [],
    }
    const startedAt = Date.now()
    return runInHook<Answer, ResponseInfo>(
      log,
      'request',
      (next) => hook(info, next),
      () => requestOnce(settings, call, url, isRecord(info.headers) ? info.headers : headers),
      (answer) => ({ status: answer.status, durationMillis: Date.now() - startedAt }),
    )
  }

  const judge = (base: string, error: QueenError | null): void => {
    if (error === null) {
      if (health.succeed(base)) emit({ type: 'backend-healthy', url: base })
    } else if (marksUnhealthy(error) && health.fail(base, Date.now())) {
      log.warn('LoadBalancer.markUnhealthy', { url: base, error: error.message })
      emit({ type: 'backend-unhealthy', url: base, error })
    }
  }

  const run = async (call: Call): Promise<FinalAnswer> => {
    const policy = { ...settings, rounds: call.rounds ?? settings.retryAttempts }
    let attempts = 0
    let ambiguous = false
    let { url, state } = startRound(1, urlsFor(call))
    for (;;) {
      call.signal?.throwIfAborted()
      attempts++
      let failure: QueenError
      try {
        const answer = await attempt(call, url, attempts)
        judge(url, null)
        return { ...answer, attempts }
      } catch (error) {
        if (call.signal?.aborted || !(error instanceof QueenError)) throw error
        failure = error
      }
      judge(url, failure)
      ambiguous ||= failure.ambiguous === true && call.method !== 'GET'
      const decision = afterFailure(policy, state, failure, Math.random())
      const what = { operation: call.operation, path: call.path, attempt: attempts, error: failure.message }
      switch (decision.do) {
        case 'give-up':
          failure.attempts = attempts
          if (ambiguous) failure.ambiguous = true
          else delete failure.ambiguous
          throw failure
        case 'try':
          log.warn('HttpClient.failover', { ...what, from: url, to: decision.url })
          emit({ type: 'failover', operation: call.operation, from: url, to: decision.url, error: failure })
          url = decision.url
          state = decision.state
          break
        case 'wait':
          log.warn('HttpClient.retry', { ...what, waitMillis: Math.round(decision.millis) })
          emit({
            type: 'retry',
            operation: call.operation,
            attempt: attempts,
            waitMillis: decision.millis,
            error: failure,
          })
          await sleep(decision.millis, call.signal)
          ;({ url, state } = startRound(decision.round, urlsFor(call)))
          break
      }
    }
  }

  return async (call) => {
    const link = call.signal === undefined ? null : linkAbort(call.signal, lifecycle.dead)
    // close() waits for what changes something; a poll or a look is simply called off.
    const ended = call.method === 'GET' ? () => {} : lifecycle.beginRequest()
    try {
      return await run({ ...call, signal: link?.signal ?? lifecycle.dead })
    } finally {
      ended()
      link?.release()
    }
  }
}
