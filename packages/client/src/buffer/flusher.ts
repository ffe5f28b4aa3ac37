/**
 * Sends what is due. One flush in flight per buffer, so the order of the pushes is the order of delivery; a few
 * requests in flight over all, and buffers that become due meanwhile share the next one.
 *
 * Never gives up while the client lives: what could not be sent goes back to the front and is tried again.
 */
import type { Emit } from '../observe/hooks.ts'
import type { Log } from '../observe/logger.ts'
import type { Settings } from '../options.ts'
import { type PushVerdict, sendPush } from '../push/send-push.ts'
import { TIMER_MILLIS_MAX } from '../timing/abort.ts'
import { backOffMillis } from '../timing/back-off.ts'
import type { Send } from '../transport/call.ts'
import { type FlushVerdict, judgeFailure, judgeResults, type RequestVerdict } from './flush-verdict.ts'
import type { BufferedItem, PartitionBuffer } from './partition-buffer.ts'

export interface FlusherParts {
  readonly settings: Settings
  readonly log: Log
  readonly emit: Emit
  readonly send: Send
  readonly dead: AbortSignal
}

export interface FlusherEvents {
  /** The first `count` items of the buffer have their verdict. */
  judged(buffer: PartitionBuffer, items: readonly BufferedItem[], verdict: FlushVerdict): void
  /** The retries of one request are used up; the items stay. */
  failed(buffer: PartitionBuffer, error: Error): void
  /** Nothing is left in the buffer and nothing of it is under way. */
  emptied(buffer: PartitionBuffer): void
}

interface Part {
  readonly buffer: PartitionBuffer
  readonly items: readonly BufferedItem[]
}

// Two keep the broker busy while an answer is on its way; more would only make the shared requests smaller.
const REQUESTS_IN_FLIGHT_MAX = 4
// Far below the broker's 64 MiB, so that one flush is neither refused for its size nor long in parsing.
const REQUEST_BYTES_MAX = 8 * 1024 * 1024
const REQUEST_ITEMS_MAX = 10_000

const OPERATION = 'BufferManager.flushBuffer'

export class Flusher {
  readonly #parts: FlusherParts
  readonly #events: FlusherEvents
  readonly #ready = new Set<PartitionBuffer>()
  #inFlight = 0
  flushes = 0

  constructor(parts: FlusherParts, events: FlusherEvents) {
    this.#parts = parts
    this.#events = events
  }

  /** Looks at a resting buffer: due now, or later. */
  review(buffer: PartitionBuffer): void {
    if (buffer.state !== 'resting') return
    clearTimeout(buffer.timer)
    const { front } = buffer
    if (this.#parts.dead.aborted) return
    if (front === undefined) this.#events.emptied(buffer)
    else if (buffer.isDue(Date.now())) this.#makeReady(buffer)
    else {
      const dueIn = front.addedAt + buffer.limits.timeMillis - Date.now()
      // This timer keeps a Node process alive: something is buffered.
      buffer.timer = setTimeout(() => this.review(buffer), Math.min(Math.max(1, dueIn), TIMER_MILLIS_MAX))
    }
  }

  /** Everything in the buffer is due, a back-off is cut short. */
  flushNow(buffer: PartitionBuffer): void {
    buffer.dueUpTo = buffer.lastSequence
    if (buffer.state === 'backing-off') buffer.state = 'resting'
    this.review(buffer)
  }

  /** The client is closed: no timer may fire any more. */
  abandon(buffer: PartitionBuffer): void {
    clearTimeout(buffer.timer)
    this.#ready.delete(buffer)
  }

  #makeReady(buffer: PartitionBuffer): void {
    buffer.state = 'ready'
    this.#ready.add(buffer)
    // In a microtask, so that buffers that become due together go together.
    queueMicrotask(() => this.#dispatch())
  }

  #dispatch(): void {
    while (this.#inFlight < REQUESTS_IN_FLIGHT_MAX && this.#ready.size > 0 && !this.#parts.dead.aborted) {
      const parts = this.#collect()
      this.#inFlight++
      this.#flush(parts).finally(() => {
        this.#inFlight--
        this.#dispatch()
      })
    }
  }

  #collect(): Part[] {
    const parts: Part[] = []
    let items = 0
    let bytes = 0
    for (const buffer of this.#ready) {
      if (parts.length > 0 && (buffer.alone || items >= REQUEST_ITEMS_MAX || bytes >= REQUEST_BYTES_MAX)) break
      const batch = buffer.batch(REQUEST_BYTES_MAX - bytes)
      if (parts.length > 0 && items + batch.length > REQUEST_ITEMS_MAX) break
      this.#ready.delete(buffer)
      buffer.state = 'flying'
      parts.push({ buffer, items: batch })
      items += batch.length
      for (const item of batch) bytes += item.bytes
      if (buffer.alone) break
    }
    return parts
  }

  async #flush(parts: readonly Part[]): Promise<void> {
    const { log, emit } = this.#parts
    const items = parts.flatMap((part) => part.items)
    const what = { count: items.length, buffers: parts.length }
    this.flushes++
    let verdict: PushVerdict
    try {
      verdict = await sendPush(this.#parts, OPERATION, items)
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      const decision = judgeFailure(error, { items: items.length, buffers: parts.length })
      log.error(OPERATION, { ...what, error, decision })
      for (const part of parts) this.#failed(part, error, decision, parts.length === 1)
      return
    }
    emit({ type: 'flush', ...what })
    log.debug(OPERATION, what)
    let from = 0
    for (const part of parts) {
      const results = verdict.results.slice(from, from + part.items.length)
      from += part.items.length
      this.#judged(part, judgeResults(part.items, results))
    }
  }

  #judged({ buffer, items }: Part, verdict: FlushVerdict): void {
    buffer.alone = false
    buffer.sendMax = Math.min(buffer.sendMax * 2, REQUEST_ITEMS_MAX)
    buffer.lastError = verdict.error
    // Still flying: whoever enters the buffer now must not make it due a second time.
    this.#events.judged(buffer, items, verdict)
    if (verdict.error !== null) {
      this.#backOff(buffer, items, verdict.error)
      return
    }
    buffer.failures = 0
    buffer.state = 'resting'
    this.review(buffer)
  }

  #failed({ buffer, items }: Part, error: Error, decision: RequestVerdict, single: boolean): void {
    switch (decision) {
      case 'keep':
        this.#backOff(buffer, items, error)
        break
      case 'split':
        if (single) buffer.sendMax = Math.max(1, items.length >>> 1)
        else buffer.alone = true
        staysDue(buffer, items)
        this.#makeReady(buffer)
        break
      case 'refuse': {
        const refused = items.map((item) => ({ item, error }))
        this.#judged({ buffer, items }, { stored: 0, refused, kept: [], error: null })
      }
    }
  }

  #backOff(buffer: PartitionBuffer, items: readonly BufferedItem[], error: Error): void {
    const { settings, emit, dead } = this.#parts
    if (dead.aborted) return
    buffer.lastError = error
    buffer.failures++
    buffer.state = 'backing-off'
    staysDue(buffer, items)
    const { retryDelayMillis, retryMaxDelayMillis, retryAfterMaxMillis } = settings
    const asked = (error as { retryAfterMillis?: number }).retryAfterMillis ?? 0
    const own = backOffMillis(buffer.failures, retryDelayMillis, retryMaxDelayMillis, Math.random())
    const waitMillis = Math.max(own, Math.min(asked, retryAfterMaxMillis))
    emit({
      type: 'flush-failed',
      queue: buffer.queue,
      partition: buffer.partition,
      messages: buffer.size,
      waitMillis,
      error,
    })
    this.#events.failed(buffer, error)
    // The event may have made somebody flush by hand.
    if (dead.aborted || buffer.state !== 'backing-off') return
    buffer.timer = setTimeout(() => {
      buffer.state = 'resting'
      this.review(buffer)
    }, waitMillis)
  }
}

/** What was due once is due until it is stored or refused, however few items are left of it. */
function staysDue(buffer: PartitionBuffer, items: readonly BufferedItem[]): void {
  buffer.dueUpTo = Math.max(buffer.dueUpTo, items.at(-1)?.sequence ?? -1)
}
