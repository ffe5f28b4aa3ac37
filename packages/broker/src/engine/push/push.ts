/**
 * The verb push: decide where each item goes, wait until it is safe there, leave a status on it.
 *
 * Invariant: an item ends `queued` only when committed in PostgreSQL and `buffered` only when synced to the file
 * buffer (G1). It never waits for the state of maintenance: that is a field of the route.
 */
import { ERRORS } from '@queen/protocol'
import type { RecordLog } from '../../ports/record-log.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { PayloadCipher } from '../cipher.ts'
import type { DelayedDrain } from '../drain/delayed-drain.ts'
import type { PushOptions } from '../engine.ts'
import type { MessageIdSource } from '../format/message-id.ts'
import { type KeyCheck, WRONG_KEY } from '../key-check.ts'
import type { Acceptance } from '../maintenance/acceptance.ts'
import type { FreezeWatch } from '../maintenance/freeze-watch.ts'
import { Refusal } from '../refusal.ts'
import type { PartitionEntry, QueueEntry } from '../types.ts'
import { inTicks, within } from '../within.ts'
import { recordsOf } from './buffered-message.ts'
import type { PushFailure, PushItem } from './push-item.ts'
import type { PushLanes } from './push-lanes.ts'
import type { PushTicket } from './push-tickets.ts'
import type { QueueDepth } from './queue-depth.ts'
import type { WriteRoute } from './write-route.ts'

// A push has 3 s in all; what is left is for the disk.
const PREPARE_MS_MAX = 2_000
// How long a disk that stands still (frozen for a snapshot, a mount that hangs) is waited for: most of those 3 s.
const APPEND_TICK_MS = 500
const APPEND_TICKS_MAX = 5
const STALLED = `${ERRORS.BUFFER_UNAVAILABLE.message}. Its disk does not answer and may have stored the message`

/** What push needs of the catalog. */
export interface PushCatalog {
  peekQueue(name: string): QueueEntry | undefined
  peekPartition(queue: string, partition: string): PartitionEntry | undefined
  /** Creates what is missing. @throws StoreError */
  ensurePartitions(names: readonly { queue: string; partition: string }[]): Promise<PartitionEntry[]>
}

export interface PushParts {
  readonly catalog: PushCatalog
  readonly route: WriteRoute
  readonly lanes: PushLanes
  readonly log: RecordLog
  readonly ids: MessageIdSource
  readonly cipher: PayloadCipher | null
  readonly key: Pick<KeyCheck, 'isWrong'>
  readonly depth: QueueDepth
  readonly delayed: DelayedDrain
  readonly acceptance: Acceptance
  readonly freeze: Pick<FreezeWatch, 'doubtful'>
  /** Resolves when a record that was appended after a freeze may be acknowledged. */
  readonly confirm: (record: number) => Promise<void>
  readonly nowMs: () => number
  readonly onUnavailable: (error: StoreError) => void
  /** The buffer takes pushes because writes do not go the direct way, and held nothing before. */
  readonly onFilling: () => void
}

export class Push {
  readonly #parts: PushParts
  acceptedMessages = 0

  constructor(parts: PushParts) {
    this.#parts = parts
  }

  /**
   * @throws Refusal when nothing of the request was or will be stored and trying again may help; with details.outcome unknown
   * when that is not certain
   */
  async pushMessages(items: PushItem[], options: PushOptions): Promise<void> {
    const parts = this.#parts
    this.#nameAll(items)
    if (parts.route.mode === 'held') await parts.route.opened()
    if (options.bufferMs > 0) {
      await this.#delay(items, options)
    } else if (parts.route.mode === 'direct' && !parts.delayed.active) {
      await this.#storeAll(items)
    } else {
      await this.#route(items)
    }
    let accepted = 0
    let refused: PushFailure | null = null
    for (const { failure } of items) {
      if (failure === null) accepted++
      else if (failure.code in ERRORS && ERRORS[failure.code as keyof typeof ERRORS].status >= 500) refused = failure
    }
    this.acceptedMessages += accepted
    if (accepted === 0 && refused !== null) {
      const unknown = items.find(({ failure }) => failure?.outcomeUnknown)?.failure
      const { code, error } = unknown ?? refused
      const more = unknown === undefined ? {} : { details: { outcome: 'unknown' } }
      throw new Refusal(code as keyof typeof ERRORS, error, more)
    }
  }

  /** Into the buffer; what has older brothers on their way into PostgreSQL goes behind them. */
  async #route(items: PushItem[]): Promise<void> {
    const { route, delayed } = this.#parts
    const direct: PushItem[] = []
    const buffered: PushItem[] = []
    for (const item of items) {
      const free = route.mode === 'direct' && !delayed.holds(item.queue, item.partition)
      if (free || this.#inLane(item)) direct.push(item)
      else buffered.push(item)
    }
    await Promise.all([
      direct.length === 0 ? null : this.#storeAll(direct),
      buffered.length === 0 ? null : this.buffer(buffered, null),
    ])
  }

  async #delay(items: PushItem[], options: PushOptions): Promise<void> {
    const { delayed, log, route } = this.#parts
    // Without a usable buffer the items are stored directly. So are those with brothers in a lane: the buffer might
    // overtake them, and waiting for a lane that others keep filling has no bound.
    if (!log.stats.usable && route.mode === 'direct') return this.#storeAll(items)
    const direct = items.filter((item) => this.#inLane(item))
    const resting = direct.length === 0 ? items : items.filter((item) => !direct.includes(item))
    const stored = direct.length === 0 ? null : this.#storeAll(direct)
    if (resting.length > 0) {
      // Nothing of their partitions rests in the buffer yet: these may still go the direct way without overtaking.
      const free = resting.filter((item) => !delayed.holds(item.queue, item.partition))
      delayed.hold(resting)
      try {
        await this.buffer(resting, null)
      } finally {
        delayed.written(resting, options)
      }
      if (route.mode === 'direct') await this.#storeUnbuffered(free)
    }
    await stored
  }

  /** Stores what the buffer could not take although nobody but the producer had asked for the buffer. */
  async #storeUnbuffered(items: readonly PushItem[]): Promise<void> {
    const { catalog, key } = this.#parts
    const left = items.filter((item) => {
      const code = item.failure?.code
      if (code !== 'BUFFER_UNAVAILABLE' && code !== 'BUFFER_FULL') return false
      // The buffer may have it yet.
      if (item.failure?.outcomeUnknown === true) return false
      // What was encrypted only because nobody knew its queue must not be stored so.
      if (!item.encrypted) return true
      return !key.isWrong && catalog.peekQueue(item.queue)?.options.encryptionEnabled === true
    })
    for (const item of left) {
      item.status = null
      item.failure = null
    }
    if (left.length > 0) await this.#storeAll(left)
  }

  #inLane(item: PushItem): boolean {
    const partition = this.#parts.catalog.peekPartition(item.queue, item.partition)
    return partition !== undefined && this.#parts.lanes.holds(partition.id)
  }

  async #storeAll(items: PushItem[]): Promise<void> {
    const parts = this.#parts
    // Before anything is waited for: what finding the partitions takes is taken from the flush.
    const startedAtMs = parts.nowMs()
    let places: PartitionEntry[]
    try {
      const known = this.#peekAll(items)
      places = known ?? (await within(PREPARE_MS_MAX, parts.catalog.ensurePartitions(items)))
    } catch (error) {
      if (!(error instanceof StoreError && error.transient)) throw error
      parts.onUnavailable(error)
      await this.buffer(items, null)
      return
    }
    // No await without need: what arrives in order enters its lanes in order.
    if (isLimited(places)) await parts.depth.admit(items, places, PREPARE_MS_MAX - (parts.nowMs() - startedAtMs))
    this.#encryptAll(items, places)
    const { promise, resolve } = Promise.withResolvers<void>()
    const ticket: PushTicket = { remaining: 0, startedAtMs, done: resolve }
    const lanes = byPartition(items, places)
    for (const { list } of lanes) ticket.remaining += list.length
    if (ticket.remaining === 0) return
    for (const { place, list } of lanes) parts.lanes.add(place, list, ticket)
    await promise
  }

  /** Partitions of a transaction's items; items that cannot be stored are failed. @throws StoreError */
  async prepare(items: PushItem[]): Promise<PartitionEntry[]> {
    this.#nameAll(items)
    const places = this.#peekAll(items) ?? (await this.#parts.catalog.ensurePartitions(items))
    if (isLimited(places)) await this.#parts.depth.admit(items, places, PREPARE_MS_MAX)
    this.#encryptAll(items, places)
    return places
  }

  /** Gives every item without a transactionId one. */
  #nameAll(items: readonly PushItem[]): void {
    const nowMs = this.#parts.nowMs()
    for (const item of items) {
      if (!item.isNamed) item.nameIt(this.#parts.ids.take(1, nowMs))
    }
  }

  /** Encrypts what is to be encrypted; fails it without the right key. */
  #encryptAll(items: PushItem[], places: readonly PartitionEntry[]): void {
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!
      if (places[i]!.queue.options.encryptionEnabled && item.status === null) this.#encrypt(item)
    }
  }

  #peekAll(items: readonly PushItem[]): PartitionEntry[] | null {
    const { catalog } = this.#parts
    const places: PartitionEntry[] = new Array(items.length)
    let queue = ''
    let partition = ''
    let place: PartitionEntry | undefined
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!
      if (place === undefined || item.queue !== queue || item.partition !== partition) {
        queue = item.queue
        partition = item.partition
        place = catalog.peekPartition(queue, partition)
        if (place === undefined) return null
      }
      places[i] = place
    }
    return places
  }

  /** For a queue that wants encryption. False when there is no key or a wrong one: the item is failed then. */
  #encrypt(item: PushItem): boolean {
    if (item.encrypted) return true
    const { cipher, key } = this.#parts
    if (cipher !== null && !key.isWrong) {
      seal(item, cipher)
      return true
    }
    item.fail('ENCRYPTION_NOT_CONFIGURED', cipher === null ? ERRORS.ENCRYPTION_NOT_CONFIGURED.message : WRONG_KEY)
    return false
  }

  /**
   * Puts items into the file buffer and gives each its status; never rejects. `lostFlush`: the id base of the flush that
   * carried them and was never answered.
   */
  async buffer(items: PushItem[], lostFlush: string | null): Promise<void> {
    const { acceptance, catalog, cipher, freeze, log, route } = this.#parts
    const going: PushItem[] = []
    for (const item of items) {
      const queue = catalog.peekQueue(item.queue)
      // A queue nobody knows here (PostgreSQL may be away) could be an encrypted one: with a key at hand, whichever, its
      // payload is encrypted, and the drain puts it back in clear if the queue does not ask for it.
      if (queue === undefined && cipher !== null && !item.encrypted) seal(item, cipher)
      if (queue?.options.encryptionEnabled !== true || this.#encrypt(item)) going.push(item)
    }
    if (going.length === 0) return
    try {
      const wasEmpty = log.stats.pendingRecords === 0
      const appending = acceptance
        .during(() => log.append(recordsOf(going, lostFlush)))
        .then((appended) => {
          if (wasEmpty && route.mode !== 'direct') this.#parts.onFilling()
          return appended
        })
      const appended = await inTicks(appending, APPEND_TICKS_MAX, APPEND_TICK_MS)
      if (appended === null) {
        // The disk stands still: it may take them yet, as if the producer had pushed them before it asked again.
        for (const item of going) item.fail('BUFFER_UNAVAILABLE', STALLED, true)
        return
      }
      if (freeze.doubtful) await this.#parts.confirm(appended.last)
      for (const item of going) item.status = 'buffered'
    } catch (error) {
      const code = bufferCode(error)
      if (code === 'PAYLOAD_TOO_LARGE' && going.length > 1) {
        // One of them does not fit into a record; the others do.
        for (const item of going) await this.buffer([item], lostFlush)
        return
      }
      const unknown = lostFlush !== null
      const more = unknown ? '. PostgreSQL did not answer and may have stored the message' : ''
      for (const item of going) item.fail(code, ERRORS[code].message + more, unknown)
    }
  }
}

function seal(item: PushItem, cipher: PayloadCipher): void {
  item.replacePayload(cipher.encrypt(item.source.subarray(item.payloadStart, item.payloadEnd)), true)
}

/** The items that have no status yet, in order. */
function byPartition(
  items: readonly PushItem[],
  places: readonly PartitionEntry[],
): { place: PartitionEntry; list: readonly PushItem[] }[] {
  let same = 0
  while (same < items.length && places[same] === places[0] && items[same]!.status === null) same++
  // The usual push: all of it goes to one partition.
  if (same > 0 && same === items.length) return [{ place: places[0]!, list: items }]
  const lanes = new Map<string, { place: PartitionEntry; list: PushItem[] }>()
  let lane: { place: PartitionEntry; list: PushItem[] } | undefined
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!
    if (item.status !== null) continue
    const place = places[i]!
    // Mostly that of the item before.
    if (lane?.place !== place) lane = lanes.get(place.id)
    if (lane === undefined) {
      lane = { place, list: [] }
      lanes.set(place.id, lane)
    }
    lane.list.push(item)
  }
  return [...lanes.values()]
}

function isLimited(places: readonly PartitionEntry[]): boolean {
  return places.some((place) => place.queue.options.maxSize > 0)
}

function bufferCode(error: unknown): 'BUFFER_FULL' | 'PAYLOAD_TOO_LARGE' | 'BUFFER_UNAVAILABLE' {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'BUFFER_FULL') return 'BUFFER_FULL'
  if (code === 'RECORD_TOO_LARGE') return 'PAYLOAD_TOO_LARGE'
  return 'BUFFER_UNAVAILABLE'
}
