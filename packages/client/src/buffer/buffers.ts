/**
 * All client-side buffers of one client: who may enter (room.ts), what is sent (flusher.ts), who waits for it.
 */
import type { PreparedItem } from '../push/prepare.ts'
import { onAbort } from '../timing/abort.ts'
import { type Deferred, deferred } from '../timing/deferred.ts'
import type { BufferOptions, BufferStats, PushedItem } from '../types/push.ts'
import { pushedItem } from './chunk.ts'
import type { FlushVerdict } from './flush-verdict.ts'
import { Flusher, type FlusherParts } from './flusher.ts'
import { type Batch, type BufferLimits, PartitionBuffer, readBufferOptions } from './partition-buffer.ts'
import { RejectedItems } from './rejected.ts'
import { type BufferPart, Room, type RoomEntry } from './room.ts'

interface FlushWaiter extends Deferred<void> {
  readonly upTo: number
}

export interface BuffersParts extends FlusherParts {
  readonly closing: AbortSignal
}

const OPERATION = 'BufferManager.addMessage'

export class Buffers {
  readonly rejected = new RejectedItems()
  /** Messages that reached a broker, over the client's life. */
  stored = 0
  readonly #parts: BuffersParts
  readonly #buffers = new Map<string, PartitionBuffer>()
  readonly #limits = new WeakMap<BufferOptions, BufferLimits>()
  readonly #waiters = new Map<PartitionBuffer, Set<FlushWaiter>>()
  readonly #room: Room
  readonly #flusher: Flusher

  constructor(parts: BuffersParts) {
    this.#parts = parts
    this.#flusher = new Flusher(parts, {
      judged: (buffer, batch, verdict) => this.#judged(buffer, batch, verdict),
      failed: (buffer, error) => this.#failed(buffer, error),
      emptied: (buffer) => this.#forgetIfEmpty(buffer),
    })
    this.#room = new Room(parts.settings.maxBufferBytes, {
      admitted: (buffer) => this.#flusher.review(buffer),
      wanted: (buffer) => this.#makeRoom(buffer),
    })
  }

  /** null: the items are in memory. Else a promise of that: they wait for room, until `signal` or the client's end. */
  add(items: readonly PreparedItem[], options: BufferOptions, signal?: AbortSignal): Promise<void> | null {
    const parts = this.#byBuffer(items, this.#limitsOf(options))
    const entry = this.#room.enter(parts)
    return entry === null ? null : this.#waitForRoom(items, parts, entry, signal)
  }

  /** Options are read once, not at every push: nobody changes what a builder holds. */
  #limitsOf(options: BufferOptions): BufferLimits {
    let limits = this.#limits.get(options)
    if (limits === undefined) {
      limits = readBufferOptions(options)
      this.#limits.set(options, limits)
    }
    return limits
  }

  async #waitForRoom(
    items: readonly PreparedItem[],
    parts: readonly BufferPart[],
    entry: RoomEntry,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#parts.log.warn(OPERATION, { problem: 'buffer full: the push waits for room', count: items.length })
    this.#parts.emit({ type: 'backpressure', count: items.length, waitingPushes: this.#room.waitingPushes })
    const calledOff = deferred<never>()
    const stops = [onAbort(signal, calledOff.reject), onAbort(this.#parts.closing, calledOff.reject)]
    try {
      await Promise.race([entry.admitted, calledOff.promise])
    } finally {
      for (const stop of stops) stop()
      entry.cancel()
      for (const { buffer } of parts) this.#forgetIfEmpty(buffer)
    }
  }

  /** One buffer, or all: resolves when everything in them now was stored or refused. */
  async flush(which?: { queue: string; partition: string }): Promise<void> {
    const one = which === undefined ? undefined : this.#buffers.get(keyOf(which.queue, which.partition))
    const buffers = which === undefined ? [...this.#buffers.values()] : one === undefined ? [] : [one]
    await Promise.all(buffers.map((buffer) => this.#flushOne(buffer)))
  }

  /** Sends what is there until it is gone or `deadline` aborts. Never rejects. */
  async drain(deadline: AbortSignal): Promise<void> {
    const over = deferred<void>()
    const stop = onAbort(deadline, () => over.resolve())
    while (!deadline.aborted && this.#buffers.size > 0) {
      const buffers = [...this.#buffers.values()]
      // There may be less time left than a long back-off takes, so all begin anew.
      for (const buffer of buffers) buffer.failures = 0
      for (const buffer of buffers) this.#flusher.flushNow(buffer)
      await Promise.race([Promise.all(buffers.map((buffer) => this.#emptied(buffer))), over.promise])
    }
    stop()
  }

  /** What no broker has; nothing is sent any more. */
  abandon(): PushedItem[] {
    const left: PushedItem[] = []
    for (const buffer of this.#buffers.values()) {
      this.#flusher.abandon(buffer)
      // Callers that wait for a flush of this buffer would wait for ever.
      this.#failed(buffer, this.#parts.dead.reason)
      for (const item of buffer.allItems()) left.push(pushedItem(this.#parts.settings.json, item))
    }
    return left
  }

  stats(): BufferStats {
    const now = Date.now()
    const buffers = [...this.#buffers.values()].map((buffer) => ({
      queue: buffer.queue,
      partition: buffer.partition,
      messages: buffer.size,
      bytes: buffer.bytes,
      ageMillis: buffer.front === undefined ? 0 : now - buffer.front.addedAt,
      flushing: buffer.state === 'flying',
      ...(buffer.lastError === null ? {} : { lastError: buffer.lastError.message }),
    }))
    return {
      activeBuffers: buffers.length,
      totalBufferedMessages: buffers.reduce((sum, { messages }) => sum + messages, 0),
      oldestBufferAge: Math.max(0, ...buffers.map(({ ageMillis }) => ageMillis)),
      flushesPerformed: this.#flusher.flushes,
      totalBufferedBytes: this.#room.bytes,
      waitingPushes: this.#room.waitingPushes,
      rejectedMessages: this.rejected.count,
      buffers,
    }
  }

  #byBuffer(items: readonly PreparedItem[], limits: BufferLimits): BufferPart[] {
    if (items.length === 1) return [{ buffer: this.#bufferFor(items[0]!, limits), items }]
    const parts = new Map<PartitionBuffer, PreparedItem[]>()
    for (const prepared of items) {
      const buffer = this.#bufferFor(prepared, limits)
      const part = parts.get(buffer)
      if (part === undefined) parts.set(buffer, [prepared])
      else part.push(prepared)
    }
    return [...parts].map(([buffer, part]) => ({ buffer, items: part }))
  }

  #bufferFor({ item: { queue, partition } }: PreparedItem, limits: BufferLimits): PartitionBuffer {
    const key = keyOf(queue, partition)
    let buffer = this.#buffers.get(key)
    if (buffer === undefined) {
      buffer = new PartitionBuffer(queue, partition, limits)
      this.#buffers.set(key, buffer)
    }
    buffer.limits = limits
    return buffer
  }

  /** A push waits: for this buffer's messages, or for bytes that the longest waiting buffer holds. */
  #makeRoom(wanted: PartitionBuffer): void {
    const holder = wanted.size > 0 ? wanted : [...this.#buffers.values()].find(({ size }) => size > 0)
    if (holder !== undefined) this.#sendOut(holder)
  }

  #sendOut(buffer: PartitionBuffer): void {
    buffer.dueUpTo = Math.max(buffer.dueUpTo, buffer.lastSequence)
    this.#flusher.review(buffer)
  }

  async #flushOne(buffer: PartitionBuffer): Promise<void> {
    if (buffer.size === 0) return
    this.#parts.dead.throwIfAborted()
    const verdict = this.#waitFor(buffer)
    this.#flusher.flushNow(buffer)
    return verdict
  }

  /** Goes on after failures. */
  async #emptied(buffer: PartitionBuffer): Promise<void> {
    while (buffer.size > 0) await this.#waitFor(buffer).catch(() => {})
    this.#forgetIfEmpty(buffer)
  }

  #waitFor(buffer: PartitionBuffer): Promise<void> {
    const waiter: FlushWaiter = { ...deferred<void>(), upTo: buffer.lastSequence }
    const waiters = this.#waiters.get(buffer)
    if (waiters === undefined) this.#waiters.set(buffer, new Set([waiter]))
    else waiters.add(waiter)
    return waiter.promise
  }

  #judged(buffer: PartitionBuffer, batch: Batch, verdict: FlushVerdict): void {
    const before = buffer.bytes
    buffer.resolveFront(batch, verdict.kept)
    this.stored += verdict.stored
    if (verdict.refused.length > 0) this.#reject(buffer, verdict.refused)
    const reached = buffer.front?.sequence ?? Number.POSITIVE_INFINITY
    for (const waiter of this.#waiters.get(buffer) ?? []) {
      if (waiter.upTo >= reached) continue
      waiter.resolve()
      this.#forgetWaiter(buffer, waiter)
    }
    this.#room.freed(buffer, before - buffer.bytes)
  }

  #failed(buffer: PartitionBuffer, error: Error): void {
    for (const waiter of this.#waiters.get(buffer) ?? []) waiter.reject(error)
    this.#waiters.delete(buffer)
  }

  #forgetWaiter(buffer: PartitionBuffer, waiter: FlushWaiter): void {
    const waiters = this.#waiters.get(buffer)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.#waiters.delete(buffer)
  }

  #reject(buffer: PartitionBuffer, refused: FlushVerdict['refused']): void {
    const { log, emit, settings } = this.#parts
    const { queue, partition } = buffer
    const error = refused[0]!.error
    const items = refused.map(({ item, error, result }) => ({
      ...pushedItem(settings.json, item),
      error,
      ...(result === undefined ? {} : { result }),
    }))
    this.rejected.add(items)
    log.error('BufferManager.rejected', { queue, partition, count: items.length, error })
    emit({ type: 'flush-rejected', queue, partition, items, error })
    Promise.resolve()
      .then(() => buffer.limits.onRejected?.(items, error))
      .catch((problem: unknown) => {
        log.error('BufferManager.rejected', { callback: 'onRejected', error: problem })
        emit({ type: 'callback-error', callback: 'onRejected', error: problem })
      })
  }

  #forgetIfEmpty(buffer: PartitionBuffer): void {
    if (buffer.size > 0 || buffer.state !== 'resting' || this.#room.isWaitedFor(buffer)) return
    buffer.stopTimer()
    const key = keyOf(buffer.queue, buffer.partition)
    if (this.#buffers.get(key) === buffer) this.#buffers.delete(key)
  }
}

// No name can contain a line feed.
function keyOf(queue: string, partition: string): string {
  return `${queue}\n${partition}`
}
