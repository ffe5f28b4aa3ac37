/** The push side of one instance on a test database: catalog, lanes and Push, with a real or a given store and buffer. */
import { QUEUE_OPTIONS, type QueueOptions } from '@queen/protocol'
import type { PayloadCipher } from '../../src/engine/cipher.ts'
import { DelayedDrain } from '../../src/engine/drain/delayed-drain.ts'
import { MessageIdSource } from '../../src/engine/format/message-id.ts'
import { Acceptance } from '../../src/engine/maintenance/acceptance.ts'
import { DedupCache } from '../../src/engine/push/dedup-cache.ts'
import { Push } from '../../src/engine/push/push.ts'
import { PushItem } from '../../src/engine/push/push-item.ts'
import { PushLanes } from '../../src/engine/push/push-lanes.ts'
import { QueueDepth } from '../../src/engine/push/queue-depth.ts'
import { WriteRoute } from '../../src/engine/push/write-route.ts'
import { Catalog } from '../../src/engine/queues/catalog.ts'
import type { PartitionEntry, QueueEntry } from '../../src/engine/types.ts'
import type { PushStore, SegmentWrite } from '../../src/ports/push-store.ts'
import type { RecordLog, RecordSource } from '../../src/ports/record-log.ts'
import type { StoreError } from '../../src/ports/store-error.ts'
import type { QueenDatabase } from '../../src/store/pool/pool.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { createWriteStore, type WriteStore } from '../../src/store/write-side.ts'
import { silent } from '../store/test-database.ts'

export const storeOn = (database: QueenDatabase): WriteStore => createWriteStore(database, 'an-instance')

export async function encryptedQueue(database: QueenDatabase, name: string): Promise<void> {
  const set = { encryptionEnabled: true }
  await createQueueStore(database).configureQueue({ name, namespace: null, task: null, set, unset: [], replace: false })
}

/** `more`: what else is known of it. */
export function item(
  queue: string,
  partition: string,
  transactionId: string,
  payload = '{"n":1}',
  more: Partial<PushItem> = {},
): PushItem {
  const { traceId = null, producerSub = null, ...rest } = more
  const source = Buffer.from(payload)
  const made = new PushItem(queue, partition, transactionId, traceId, producerSub, source, 0, source.length)
  return Object.assign(made, rest)
}

/** Whether bodies and keys lie one behind the other in one buffer: then they are sent without a copy. */
export function isOnePiece(writes: readonly SegmentWrite[]): boolean {
  const parts = writes.flatMap(({ body, keys }) => [body, keys])
  let end = parts[0]!.byteOffset
  return parts.every(({ buffer, byteOffset, length }) => {
    const follows = buffer === parts[0]!.buffer && byteOffset === end
    end += length
    return follows
  })
}

/** A file buffer that only remembers which items it was given. */
export class ListLog {
  readonly bufferId = 'list'
  readonly stats = { usable: true, pendingRecords: 0 } as RecordLog['stats']
  readonly sources: { bodies: Buffer[]; flags: number }[] = []
  failure: { code: string; times: number } | null = null
  /** Appends wait for it. */
  stalled: Promise<void> | null = null

  async append(source: RecordSource): Promise<{ first: number; last: number; acceptedAtMicros: number }> {
    if (this.failure !== null && this.failure.times-- > 0) {
      throw Object.assign(new Error('no'), { code: this.failure.code })
    }
    if (this.stalled !== null) await this.stalled
    const target = Buffer.alloc(source.bytesMax)
    const bodies: Buffer[] = []
    let at = 0
    for (let i = 0; i < source.count; i++) {
      const end = source.write(i, target, at)
      bodies.push(Buffer.from(target.subarray(at, end)))
      at = end
    }
    this.sources.push({ bodies, flags: source.flags(0) })
    return { first: 1, last: source.count, acceptedAtMicros: 0 }
  }
}

export interface StackOptions {
  readonly store?: PushStore
  readonly log?: RecordLog
  readonly cipher?: PayloadCipher
  readonly key?: { readonly isWrong: boolean }
  readonly dedupBytesMax?: number
  readonly onUnavailable?: (error: StoreError) => void
}

export class PushStack {
  readonly catalog: Catalog
  readonly store: PushStore
  readonly dedup: DedupCache
  readonly ids = new MessageIdSource()
  readonly route = new WriteRoute()
  readonly lanes: PushLanes
  readonly push: Push
  readonly delayed: DelayedDrain
  readonly listLog = new ListLog()
  readonly log: RecordLog
  storedSegments = 0
  readonly unavailable: StoreError[] = []
  readonly defects: unknown[] = []
  diverted = 0
  /** How often the buffer began to take what cannot go the direct way. */
  fillings = 0
  due = 0

  constructor(database: QueenDatabase, options: StackOptions = {}) {
    const nowMs = Date.now
    this.catalog = new Catalog({ store: createQueueStore(database), log: silent, nowMs })
    this.store = options.store ?? storeOn(database)
    this.dedup = new DedupCache(options.dedupBytesMax ?? 64 * 1024 * 1024)
    this.log = options.log ?? (this.listLog as unknown as RecordLog)
    this.delayed = new DelayedDrain(() => this.due++)
    this.route.set('direct')
    const onUnavailable = (error: StoreError) => {
      this.unavailable.push(error)
      this.route.set('buffer')
      options.onUnavailable?.(error)
    }
    this.lanes = new PushLanes({
      store: this.store,
      dedup: this.dedup,
      ids: this.ids,
      route: this.route,
      nowMs,
      divert: (items, lostFlush) => this.push.buffer(items, lostFlush),
      onDiverted: () => {
        this.diverted++
      },
      onUnavailable,
      onStored: () => {
        this.storedSegments++
      },
      onConfigVersion: (version) => this.catalog.noticeVersion(version),
      onGone: (partition) => {
        this.catalog.forget(partition.queue.name)
        return this.catalog.ensurePartition(partition.queue.name, partition.name)
      },
      onDefect: (error) => this.defects.push(error),
    })
    this.push = new Push({
      catalog: this.catalog,
      route: this.route,
      lanes: this.lanes,
      log: this.log,
      ids: this.ids,
      cipher: options.cipher ?? null,
      key: options.key ?? { isWrong: false },
      depth: new QueueDepth({ countUnfinished: () => Promise.resolve(0) }, nowMs),
      delayed: this.delayed,
      acceptance: new Acceptance(() => nowMs() * 1000),
      freeze: { doubtful: false },
      confirm: async () => {},
      nowMs,
      onUnavailable,
      onFilling: () => this.fillings++,
    })
  }

  async send(...items: PushItem[]): Promise<PushItem[]> {
    await this.push.pushMessages(items, { bufferMs: 0, bufferMax: 100 })
    return items
  }
}

export function defaultOptions(changed: Partial<QueueOptions> = {}): QueueOptions {
  const options: Record<string, number | boolean> = {}
  for (const [name, spec] of Object.entries(QUEUE_OPTIONS)) options[name] = spec.default
  return { ...(options as QueueOptions), ...changed }
}

/** A partition nobody has to look up. */
export function place(id: string, name: string, changed: Partial<QueueOptions> = {}): PartitionEntry {
  const queue: QueueEntry = {
    id: 'f0000000-0000-4000-8000-000000000000',
    name: 'orders',
    namespace: '',
    task: '',
    options: defaultOptions(changed),
    createdAt: '2026-11-23T00:00:00.000000Z',
  }
  return { id, name, queue }
}
