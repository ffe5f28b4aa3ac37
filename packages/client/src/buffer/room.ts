/**
 * The bounds of the client's memory: messages per buffer, bytes over all of them. A push that does not fit waits, in
 * order of arrival; nothing is dropped.
 *
 * A push is let in as a whole, or, when it is larger than a bound, in slices that each fit; so one that is called off
 * while it waits has left nothing behind unless it was larger than the bound itself. An item larger than the bound
 * passes alone.
 */
import type { PreparedItem } from '../push/prepare.ts'
import { deferred } from '../timing/deferred.ts'
import type { PartitionBuffer } from './partition-buffer.ts'

interface Waiting {
  readonly buffer: PartitionBuffer
  readonly items: readonly PreparedItem[]
  readonly bytes: number
  readonly admitted: () => unknown
}

/** What one push brings into one buffer. */
export interface BufferPart {
  readonly buffer: PartitionBuffer
  readonly items: readonly PreparedItem[]
}

/** A push that waits. */
export interface RoomEntry {
  readonly admitted: Promise<void>
  cancel(): void
}

export interface RoomEvents {
  /** Items went into this buffer. */
  admitted(buffer: PartitionBuffer): void
  /** A push waits for this buffer to become emptier. */
  wanted(buffer: PartitionBuffer): void
}

export class Room {
  readonly #bytesMax: number
  readonly #events: RoomEvents
  readonly #waiting = new Map<PartitionBuffer, Waiting[]>()
  /** Buffers whose first waiting push lacks bytes, in order of arrival. */
  readonly #short = new Set<PartitionBuffer>()
  #bytes = 0
  #pushes = 0

  constructor(bytesMax: number, events: RoomEvents) {
    this.#bytesMax = bytesMax
    this.#events = events
  }

  get bytes(): number {
    return this.#bytes
  }

  get waitingPushes(): number {
    return this.#pushes
  }

  isWaitedFor(buffer: PartitionBuffer): boolean {
    return this.#waiting.has(buffer)
  }

  /** Lets items in, or queues them. `null` when everything is in already. */
  enter(parts: readonly BufferPart[]): RoomEntry | null {
    // Nearly every push: into one buffer, where there is room and nobody waits.
    if (parts.length === 1 && this.#walkIn(parts[0]!)) return null
    const done = deferred<void>()
    const queued: Waiting[] = []
    let open = 0
    for (const { buffer, items } of parts) {
      for (const slice of slices(items, buffer.limits.maxMessages, this.#bytesMax)) {
        open++
        const entry = { buffer, ...slice, admitted: () => --open === 0 && done.resolve() }
        const line = this.#waiting.get(buffer)
        if (line === undefined) this.#waiting.set(buffer, [entry])
        else line.push(entry)
        queued.push(entry)
      }
    }
    const buffers = new Set(parts.map(({ buffer }) => buffer))
    for (const buffer of buffers) this.#pump(buffer)
    if (open === 0) return null
    this.#pushes++
    const leave = () => this.#pushes--
    done.promise.then(leave, leave)
    return {
      admitted: done.promise,
      cancel: () => {
        if (open === 0) return
        for (const entry of queued) this.#remove(entry)
        done.resolve()
      },
    }
  }

  #walkIn({ buffer, items }: BufferPart): boolean {
    if (this.#waiting.size > 0 || buffer.size + items.length > buffer.limits.maxMessages) return false
    let bytes = 0
    for (const item of items) bytes += item.bytes
    if (this.#bytes + bytes > this.#bytesMax) return false
    buffer.append(items, Date.now())
    this.#bytes += bytes
    this.#events.admitted(buffer)
    return true
  }

  /** Items left a buffer. */
  freed(buffer: PartitionBuffer, bytes: number): void {
    this.#bytes -= bytes
    this.#pump(buffer)
    for (const short of [...this.#short]) {
      this.#pump(short)
      if (this.#short.has(short)) break
    }
  }

  #pump(buffer: PartitionBuffer): void {
    const line = this.#waiting.get(buffer)
    if (line === undefined) return
    let admitted = 0
    let lacksBytes = false
    while (admitted < line.length) {
      const { items, bytes } = line[admitted]!
      if (buffer.size > 0 && buffer.size + items.length > buffer.limits.maxMessages) break
      lacksBytes = this.#lacksBytes(buffer, bytes)
      if (lacksBytes) break
      buffer.append(items, Date.now())
      this.#bytes += bytes
      admitted++
    }
    const done = line.splice(0, admitted)
    if (line.length === 0) this.#waiting.delete(buffer)
    if (!lacksBytes) this.#short.delete(buffer)
    else this.#short.add(buffer)
    for (const entry of done) entry.admitted()
    if (admitted > 0) this.#events.admitted(buffer)
    if (line.length > 0) this.#events.wanted(buffer)
  }

  #lacksBytes(buffer: PartitionBuffer, bytes: number): boolean {
    // Who came first for bytes is served first, even where a later one's need is smaller.
    const [first] = this.#short
    if (first !== undefined && first !== buffer) return true
    return this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax
  }

  #remove(entry: Waiting): void {
    const line = this.#waiting.get(entry.buffer)
    const at = line?.indexOf(entry) ?? -1
    if (line === undefined || at < 0) return
    line.splice(at, 1)
    if (line.length === 0) {
      this.#waiting.delete(entry.buffer)
      this.#short.delete(entry.buffer)
    }
    // Whoever stood behind it may fit now.
    this.freed(entry.buffer, 0)
  }
}

function* slices(items: readonly PreparedItem[], countMax: number, bytesMax: number) {
  let from = 0
  let bytes = 0
  for (const [index, item] of items.entries()) {
    if (index > from && (index - from >= countMax || bytes + item.bytes > bytesMax)) {
      yield { items: items.slice(from, index), bytes }
      from = index
      bytes = 0
    }
    bytes += item.bytes
  }
  yield { items: items.slice(from), bytes }
}
