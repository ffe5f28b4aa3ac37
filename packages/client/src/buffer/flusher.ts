/**
 * Sends what is due. One flush in flight per buffer, so the order of the pushes is the order of delivery; a few
 * requests in flight over all, and buffers that become due meanwhile share the next one.
 *
 * Never gives up while the client lives: what could not be sent goes back to the front and is tried again.
 */
import type { Emit } from '../observe/hooks.ts'
import type { Log } from '../observe/logger.ts'
import type { Settings } from '../options.ts'
import { type SentTexts, sendPushUnread } from '../push/send-push.ts'
import { TIMER_MILLIS_MAX } from '../timing/abort.ts'
import { backOffMillis } from '../timing/back-off.ts'
import type { Send } from '../transport/call.ts'
import type { PushResults } from '../types/push.ts'
import type { BufferedItem } from './chunk.ts'
import { type FlushVerdict, judgeFailure, judgeResults, type RequestVerdict } from './flush-verdict.ts'
import type { Batch, PartitionBuffer } from './partition-buffer.ts'

export interface FlusherParts {
  readonly settings: Settings
  readonly log: Log
  readonly emit: Emit
  readonly send: Send
  readonly dead: AbortSignal
}

export interface FlusherEvents {
  /** The buffer's first batch has its verdict. */
  judged(buffer: PartitionBuffer, batch: Batch, verdict: FlushVerdict): void
  /** The retries of one request are used up; the items stay. */
  failed(buffer: PartitionBuffer, error: Error): void
  /** Nothing is left in the buffer and nothing of it is under way. */
  emptied(buffer: PartitionBuffer): void
}

interface Part {
  readonly buffer: PartitionBuffer
  readonly batch: Batch
}

// Enough that the broker works on some while others are written and read; each holds a connection and memory.
const REQUESTS_IN_FLIGHT_MAX = 8
// A shared request takes no further buffer beyond this: one large request would make client and broker take turns.
const SHARED_ITEMS_MAX = 1_000
// Far below the broker's 64 MiB; so many times this are written out at once, beside what the buffers hold.
const REQUEST_BYTES_MAX = 2 * 1024 * 1024
const REQUEST_ITEMS_MAX = 10_000

const OPERATION = 'BufferManager.flushBuffer'

const allStored = (count: number): FlushVerdict => ({ stored: count, refused: [], kept: [], error: null })

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
    if (buffer.state !== 'resting' || this.#parts.dead.aborted) return
    const { front } = buffer
    if (front === undefined) {
      buffer.stopTimer()
      this.#events.emptied(buffer)
      return
    }
    const now = Date.now()
    if (buffer.isDue(now)) {
      buffer.stopTimer()
      this.#makeReady(buffer)
      return
    }
    const dueAt = front.addedAt + buffer.limits.timeMillis
    // Every push comes by here: a timer that is early enough stays.
    if (buffer.timer !== undefined && buffer.timerAt <= dueAt) return
    this.#reviewIn(buffer, Math.max(1, dueAt - now), now)
  }

  #reviewIn(buffer: PartitionBuffer, millis: number, now: number): void {
    buffer.stopTimer()
    const waitMillis = Math.min(millis, TIMER_MILLIS_MAX)
    buffer.timerAt = now + waitMillis
    // This timer keeps a Node process alive: something is buffered.
    buffer.timer = setTimeout(() => {
      buffer.timer = undefined
      if (buffer.state === 'backing-off') buffer.state = 'resting'
      this.review(buffer)
    }, waitMillis)
  }

  /** Everything in the buffer is due, a back-off is cut short. */
  flushNow(buffer: PartitionBuffer): void {
    buffer.dueUpTo = buffer.lastSequence
    if (buffer.state === 'backing-off') buffer.state = 'resting'
    this.review(buffer)
  }

  /** The client is closed: no timer may fire any more. */
  abandon(buffer: PartitionBuffer): void {
    buffer.stopTimer()
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
      if (parts.length > 0 && (buffer.alone || items >= SHARED_ITEMS_MAX || bytes >= REQUEST_BYTES_MAX)) break
      const batch = buffer.batch(REQUEST_BYTES_MAX - bytes)
      if (parts.length > 0 && items + batch.count > REQUEST_ITEMS_MAX) break
      this.#ready.delete(buffer)
      buffer.state = 'flying'
      parts.push({ buffer, batch })
      items += batch.count
      bytes += batch.bytes
      if (buffer.alone) break
    }
    return parts
  }

  async #flush(parts: readonly Part[]): Promise<void> {
    const { log, emit } = this.#parts
    const count = parts.reduce((sum, { batch }) => sum + batch.count, 0)
    const what = { count, buffers: parts.length }
    this.flushes++
    let results: PushResults | null
    try {
      results = await sendPushUnread(this.#parts, OPERATION, sentTexts(parts, count), this.#parts.settings.json)
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      const decision = judgeFailure(error, { items: count, buffers: parts.length })
      log.error(OPERATION, { ...what, error, decision })
      for (const part of parts) this.#failed(part, error, decision, parts.length === 1)
      return
    }
    emit({ type: 'flush', ...what })
    log.debug(OPERATION, what)
    let from = 0
    for (const part of parts) {
      const to = from + part.batch.count
      this.#judged(
        part,
        results === null ? allStored(part.batch.count) : judgeResults(itemsOf(part), results.slice(from, to)),
      )
      from = to
    }
  }

  #judged({ buffer, batch }: Part, verdict: FlushVerdict): void {
    buffer.alone = false
    buffer.sendMax = Math.min(buffer.sendMax * 2, REQUEST_ITEMS_MAX)
    buffer.lastError = verdict.error
    // The batch still counts as under way: a message that enters the buffer now must not make it due a second time.
    this.#events.judged(buffer, batch, verdict)
    if (verdict.error !== null) {
      this.#backOff(buffer, batch, verdict.error)
      return
    }
    buffer.failures = 0
    buffer.state = 'resting'
    this.review(buffer)
  }

  #failed(part: Part, error: Error, decision: RequestVerdict, single: boolean): void {
    const { buffer, batch } = part
    switch (decision) {
      case 'keep':
        this.#backOff(buffer, batch, error)
        break
      case 'split':
        if (single) buffer.sendMax = Math.max(1, batch.count >>> 1)
        else buffer.alone = true
        staysDue(buffer, batch)
        this.#makeReady(buffer)
        break
      case 'refuse': {
        const refused = itemsOf(part).map((item) => ({ item, error }))
        this.#judged(part, { stored: 0, refused, kept: [], error: null })
      }
    }
  }

  #backOff(buffer: PartitionBuffer, batch: Batch, error: Error): void {
    const { settings, emit, dead } = this.#parts
    if (dead.aborted) return
    buffer.lastError = error
    buffer.failures++
    buffer.state = 'backing-off'
    staysDue(buffer, batch)
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
    this.#reviewIn(buffer, waitMillis, Date.now())
  }
}

/** What was due once is due until it is stored or refused, however few items are left of it. */
function staysDue(buffer: PartitionBuffer, { chunks }: Batch): void {
  const last = chunks.at(-1)
  if (last !== undefined) buffer.dueUpTo = Math.max(buffer.dueUpTo, last.sequence + last.count - 1)
}

function itemsOf({ buffer, batch }: Part): BufferedItem[] {
  return batch.chunks.flatMap((chunk) => chunk.items(buffer.queue, buffer.partition))
}

function sentTexts(parts: readonly Part[], count: number): SentTexts {
  const queue = parts[0]?.buffer.queue ?? null
  const chunks = parts.flatMap(({ batch }) => batch.chunks)
  return {
    queue: parts.every(({ buffer }) => buffer.queue === queue) ? queue : null,
    texts: chunks.map(({ text }) => text),
    isAscii: chunks.every(({ isAscii }) => isAscii),
    count,
    items: () => parts.flatMap(itemsOf).map(({ item }) => item),
  }
}
