/**
 * Moves the records of the file buffer into PostgreSQL, in record order, each exactly once.
 *
 *   read ahead ─▶ decode ─▶ one segment a partition ─▶ one transaction: segments + buffer_progress ─▶ files freed
 *
 * Invariants: progress and messages commit together, so after a crash or a lost answer buffer_progress tells what is
 * stored (G3); nothing is freed on disk before that commit; a record that cannot be stored is set aside in the very
 * transaction that moves the progress past it, and stops nothing behind it (G8). The fence holds for a drain as for any
 * write (G5).
 *
 * It decides nothing about when to run: the maintenance control does.
 */
import type { DrainStep, PushStore } from '../../ports/push-store.ts'
import type { QuarantineWrite } from '../../ports/quarantine-store.ts'
import type { BufferedRecord, SetAsideRecord } from '../../ports/record-log.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { PayloadCipher } from '../cipher.ts'
import type { MessageIdSource } from '../format/message-id.ts'
import { RecordFlag, RecordReader } from '../push/buffered-message.ts'
import { DedupCache, type PartitionKeys } from '../push/dedup-cache.ts'
import { learn, learnUpTo } from '../push/learn-keys.ts'
import type { StoredSegment } from '../push/push-lanes.ts'
import { type BuiltSegment, buildSegment, segmentBytesMax } from '../push/segment-build.ts'
import type { PartitionEntry, PushItem, QueueEntry } from '../types.ts'
import type { DrainLog } from './horizon-log.ts'

export interface DrainCatalog {
  queue(name: string): Promise<QueueEntry | null>
  ensurePartitions(names: readonly { queue: string; partition: string }[]): Promise<PartitionEntry[]>
  forget(queue: string): void
  /** When the queue of this name was last deleted, microseconds since 1970; null = never. */
  deletedAtMicros(name: string): Promise<number | null>
}

export interface DrainParts {
  readonly store: PushStore
  readonly log: DrainLog
  readonly catalog: DrainCatalog
  readonly dedup: DedupCache
  readonly ids: MessageIdSource
  readonly cipher: PayloadCipher | null
  readonly nowMs: () => number
  /**
   * Resolves when nothing that was sent before `ageMs` ago and not answered can be stored any more. @throws StoreError
   */
  readonly endLostFlushes: (ageMs: number) => Promise<void>
  readonly onStored: (stored: StoredSegment) => void
  /** After each commit: records drained by it, set-aside ones included. */
  readonly onProgress: (records: number) => void
  /** After each commit that set records aside. */
  readonly onSetAside: (entries: readonly QuarantineWrite[]) => void
}

export type DrainEnd = 'empty' | 'stopped' | 'diverted'

interface Step {
  readonly items: { item: PushItem; record: BufferedRecord }[]
  /** Of its records, those that go into the quarantine. */
  readonly asides: QuarantineWrite[]
  readonly from: number
  through: number
  readonly outcomeUnknown: boolean
  /** Records it began with. */
  records: number
}

interface Prepared {
  readonly steps: Step[]
  readonly empty: boolean
}

// One transaction: large enough that its commit does not count, small enough that a push that has to wait for its locks
// at the end of a drain waits milliseconds.
const STEP_RECORDS_MAX = 10_000
const STEP_BYTES_MAX = 4 * 1024 * 1024
// A step too long for the statement limit (ten thousand partitions nobody remembers) is made smaller, to no less.
const STEP_RECORDS_MIN = 100
const ATTEMPTS_MAX = 8
// Memory for records whose flush had an unknown outcome; they are few.
const UNKNOWN_KEYS_BYTES_MAX = 32 * 1024 * 1024

export class Drain {
  readonly #parts: DrainParts
  readonly #reader = new RecordReader()
  readonly #unknownKeys = new DedupCache(UNKNOWN_KEYS_BYTES_MAX)
  #recordsMax = STEP_RECORDS_MAX
  #inSync = false
  #syncing: Promise<void> | null = null
  #begun = false

  constructor(parts: DrainParts) {
    this.#parts = parts
  }

  /** The next run asks PostgreSQL how far this buffer is drained before it stores anything. */
  distrust(): void {
    this.#inSync = false
  }

  /** Brings the buffer in line with what PostgreSQL has of it, unless that is certain. @throws StoreError */
  async sync(): Promise<void> {
    if (this.#inSync) return
    // One at a time: an answer that comes late must not move the buffer back behind what was drained meanwhile.
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = null
    })
    await this.#syncing
  }

  async #sync(): Promise<void> {
    const { store, log } = this.#parts
    const drainedThrough = await store.readDrainProgress(log.bufferId)
    // Only what PostgreSQL remembered at the start may move the buffer back or past its end; later it can be no more
    // than a commit whose answer was lost.
    if (this.#begun) await log.drained(drainedThrough)
    else await log.setDrainedThrough(drainedThrough)
    this.#begun = true
    this.#inSync = true
  }

  /**
   * Drains until the buffer is empty, `goOn` says no, or the switch is met.
   * @throws StoreError when PostgreSQL fails; the records stay and the next run goes on after the last commit.
   */
  async run(goOn: () => boolean): Promise<DrainEnd> {
    const { log } = this.#parts
    let reading: Promise<unknown> = Promise.resolve()
    try {
      await this.sync()
      log.rewind()
      let prepared = await this.#prepare()
      for (;;) {
        if (prepared.empty) return 'empty'
        if (!goOn()) return 'stopped'
        const storing = this.#storeAll(prepared)
        // Reading and decoding the next batch takes place while PostgreSQL works on this one.
        const next = this.#prepare()
        reading = next.catch(() => {})
        if (!(await storing)) return 'diverted'
        prepared = await next
      }
    } catch (error) {
      if (error instanceof StoreError && error.outcomeUnknown) this.distrust()
      throw error
    } finally {
      // The next run must not read while this one still does.
      await reading
    }
  }

  async #prepare(): Promise<Prepared> {
    const batch = await this.#parts.log.read({ records: this.#recordsMax, bytes: STEP_BYTES_MAX })
    const steps: Step[] = []
    let step: Step | null = null
    // Numbers no record stands for any more (damage, already set aside) count with the step they lie in.
    let next = batch.records[0]?.number ?? batch.through
    for (const record of batch.records) {
      const outcomeUnknown = (record.flags & RecordFlag.OUTCOME_UNKNOWN) !== 0
      if (step === null || step.outcomeUnknown !== outcomeUnknown) {
        step = { items: [], asides: [], from: next, through: record.number, outcomeUnknown, records: 0 }
        steps.push(step)
      }
      step.records++
      step.through = record.number
      next = record.number + 1
      try {
        step.items.push({ item: this.#reader.read(record), record })
      } catch (error) {
        const problem = error instanceof Error ? error.message : 'unreadable'
        step.asides.push(this.#aside(record, null, 'CORRUPT', problem))
      }
    }
    if (step !== null) step.through = batch.through
    else if (!batch.empty)
      steps.push({
        items: [],
        asides: [],
        from: batch.through,
        through: batch.through,
        outcomeUnknown: false,
        records: 0,
      })
    return { steps, empty: batch.empty }
  }

  /** False when the switch was met. */
  async #storeAll(prepared: Prepared): Promise<boolean> {
    for (const step of prepared.steps) if (!(await this.#storeStep(step))) return false
    return true
  }

  async #storeStep(step: Step): Promise<boolean> {
    const { endLostFlushes, log, nowMs, onProgress, onSetAside } = this.#parts
    const [last] = step.items.slice(-1)
    if (step.outcomeUnknown && last !== undefined) await endLostFlushes(nowMs() - last.record.acceptedAtMicros / 1000)
    let attempts = 0
    for (;;) {
      try {
        const verdict = await this.#write(step)
        if (verdict === 'diverted') return false
        if (verdict === 'stored') break
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        // PostgreSQL refuses the step: halves, until the record it refuses stands alone and is set aside (G8).
        if (error.failure === 'rejected') return this.#storeHalves(step, error)
        if (error.failure === 'locked') this.#recordsMax = Math.max(STEP_RECORDS_MIN, this.#recordsMax >> 1)
        if (error.failure !== 'conflict') throw error
      }
      // Others keep storing what this step holds, or it keeps meeting their locks: halves are quicker than they are.
      if (++attempts >= ATTEMPTS_MAX && step.items.length > 1) return this.#storeHalves(step, null)
      if (attempts > 2 * ATTEMPTS_MAX)
        throw new StoreError('conflict', 'the drain keeps losing races with other writers')
    }
    this.#recordsMax = Math.min(STEP_RECORDS_MAX, this.#recordsMax * 2)
    await log.drained(step.through)
    if (step.asides.length > 0) onSetAside(step.asides)
    onProgress(step.records)
    return true
  }

  async #storeHalves(step: Step, refusal: StoreError | null): Promise<boolean> {
    const { asides, items } = step
    if (refusal !== null && items.length === 1) {
      const [{ item, record }] = items as [Step['items'][number]]
      const refused = this.#aside(record, item.queue, 'REJECTED', refusal.message, refusal.sqlState)
      return this.#storeStep({ ...step, items: [], asides: [...asides, refused] })
    }
    if (refusal !== null && items.length === 0) {
      if (asides.length === 0) throw refusal
      // Not even the quarantine takes it: then the disk does, where every record has a file of its own.
      for (const entry of asides) await this.#parts.log.quarantine.add(entry)
      this.#parts.onSetAside(asides)
      return this.#storeStep({ ...step, asides: [] })
    }
    const half = items.length >> 1
    const middle = items[half]!.record.number
    const [before, behind] = [
      asides.filter(({ number }) => number! < middle),
      asides.filter(({ number }) => number! >= middle),
    ]
    const records = half + before.length
    const first = { ...step, items: items.slice(0, half), asides: before, through: middle - 1, records }
    const second = { ...step, items: items.slice(half), asides: behind, from: middle, records: step.records - records }
    return (await this.#storeStep(first)) && (await this.#storeStep(second))
  }

  async #write(step: Step): Promise<'stored' | 'again' | 'diverted'> {
    const parts = this.#parts
    const nowMs = parts.nowMs()
    const groups = await this.#group(step)
    const places = [...groups.values()]
    const cache = step.outcomeUnknown ? this.#unknownKeys : parts.dedup
    const blob = Buffer.allocUnsafe(places.reduce((sum, group) => sum + segmentBytesMax(group.items), 0))
    const built: { segment: BuiltSegment<PushItem>; known: PartitionKeys | null; window: number }[] = []
    let end = 0
    for (const { place, items } of places) {
      const window = this.#window(place, step.outcomeUnknown)
      const known = window === 0 ? null : cache.partition(place.id, window)
      const result = buildSegment(place.id, items, parts.ids.take(items.length, nowMs), known, window, blob, end)
      end = result.end
      built.push({ segment: result.segment, known, window })
    }
    const { asides: setAside, from, through } = step
    const drain: DrainStep = { bufferId: parts.log.bufferId, from, through, setAside }
    const result = await parts.store.pushMessages(
      built.map(({ segment }) => segment.write),
      drain,
    )
    if (result.status === 'diverted') return 'diverted'
    if (result.status === 'progress') {
      await parts.log.drained(result.drainedThrough)
      return result.drainedThrough >= step.through ? 'stored' : this.#skip(step, result.drainedThrough)
    }
    let stored = true
    for (const [index, outcome] of result.outcomes.entries()) {
      const { segment, known, window } = built[index]!
      const { place, items } = places[index]!
      if (outcome.status !== 'stored') stored = false
      if (outcome.status === 'gone') {
        parts.catalog.forget(place.queue.name)
        parts.dedup.forget(place.id)
      }
      if (outcome.status === 'gone' || outcome.status === 'held') continue
      if (known !== null) for (const gap of outcome.gap) learn(known, gap.firstOffset, gap.keys)
      if (outcome.status === 'stored') {
        if (known !== null) learn(known, outcome.firstOffset, segment.write.keys)
        continue
      }
      for (const duplicate of outcome.confirmed) segment.suspects[duplicate.index]!.status = 'duplicate'
      for (const duplicate of outcome.duplicates) segment.stored[duplicate.index]!.status = 'duplicate'
      for (const suspect of outcome.innocent) segment.suspects[suspect]!.innocentBelow = segment.write.knownTo
      if (outcome.unknownUpTo !== null && known !== null) {
        const oldestMs = items.reduce((oldest, item) => Math.min(oldest, item.acceptedAtMicros! / 1000), nowMs)
        // PostgreSQL's clock may be another one: a minute more is read than is asked for.
        const lookBack = window + Math.ceil((nowMs - oldestMs) / 1000) + 60
        await learnUpTo({ store: parts.store, dedup: cache }, place.id, known, outcome.unknownUpTo, lookBack)
      }
    }
    cache.trim()
    if (!stored) return 'again'
    for (const [index, outcome] of result.outcomes.entries()) {
      const { segment } = built[index]!
      if (outcome.status !== 'stored' || segment.stored.length === 0) continue
      parts.onStored({
        partition: places[index]!.place,
        firstOffset: outcome.firstOffset,
        createdAt: outcome.createdAt,
        segment,
      })
    }
    return 'stored'
  }

  #skip(step: Step, drainedThrough: number): 'again' {
    const left = step.items.filter(({ record }) => record.number > drainedThrough)
    step.items.length = 0
    step.items.push(...left)
    const asides = step.asides.splice(0).filter(({ number }) => number! > drainedThrough)
    step.asides.push(...asides)
    Object.assign(step, { from: drainedThrough + 1 })
    return 'again'
  }

  /** What is left of the step by partition, in record order; what cannot be stored is set aside on the way. */
  async #group(step: Step): Promise<Map<string, { place: PartitionEntry; items: PushItem[] }>> {
    const parts = this.#parts
    const names = new Map<string, Map<string, { queue: string; partition: string; items: PushItem[] }>>()
    const kept: Step['items'] = []
    const deleted = new Map<string, number>()
    for (const entry of step.items) {
      const { item, record } = entry
      if (item.status === 'duplicate') continue
      if (!names.has(item.queue)) {
        let deletedAt = deleted.get(item.queue)
        if (deletedAt === undefined) {
          deletedAt = await this.#deletedAtMicros(item.queue)
          deleted.set(item.queue, deletedAt)
        }
        if (deletedAt >= record.acceptedAtMicros) {
          const error = `Queue '${item.queue}' was deleted after this message was accepted`
          step.asides.push(this.#aside(record, item.queue, 'QUEUE_DELETED', error))
          continue
        }
      }
      let partitions = names.get(item.queue)
      if (partitions === undefined) {
        partitions = new Map()
        names.set(item.queue, partitions)
      }
      let group = partitions.get(item.partition)
      if (group === undefined) {
        group = { queue: item.queue, partition: item.partition, items: [] }
        partitions.set(item.partition, group)
      }
      group.items.push(item)
      kept.push(entry)
    }
    step.items.length = 0
    step.items.push(...kept)
    const groups = [...names.values()].flatMap((partitions) => [...partitions.values()])
    const places = groups.length === 0 ? [] : await parts.catalog.ensurePartitions(groups)
    const out = new Map<string, { place: PartitionEntry; items: PushItem[] }>()
    for (const [index, group] of groups.entries()) {
      const place = places[index]!
      const items: PushItem[] = []
      const wanted = place.queue.options.encryptionEnabled
      for (const item of group.items) {
        if (item.encrypted === wanted || this.#fitEncryption(step, item, wanted)) items.push(item)
      }
      if (items.length > 0) out.set(place.id, { place, items })
    }
    return out
  }

  /** When the queue was deleted, unless it is there (again): what was accepted before then belongs to the deleted one. */
  async #deletedAtMicros(queue: string): Promise<number> {
    if ((await this.#parts.catalog.queue(queue)) !== null) return Number.NEGATIVE_INFINITY
    return (await this.#parts.catalog.deletedAtMicros(queue)) ?? Number.NEGATIVE_INFINITY
  }

  /** Encrypts or decrypts as the queue asks now; false when it cannot, and the record was set aside. */
  #fitEncryption(step: Step, item: PushItem, wanted: boolean): boolean {
    const { cipher } = this.#parts
    let problem: string
    try {
      if (cipher === null) throw new Error('this instance has no encryption key')
      const bytes = item.source.subarray(item.payloadStart, item.payloadEnd)
      item.source = wanted ? cipher.encrypt(bytes) : cipher.decrypt(bytes)
      item.payloadStart = 0
      item.payloadEnd = item.source.length
      item.idStart = -1
      item.encrypted = wanted
      return true
    } catch (error) {
      problem = error instanceof Error ? error.message : 'unknown'
    }
    const index = step.items.findIndex((entry) => entry.item === item)
    const [entry] = step.items.splice(index, 1)
    const error = `The payload cannot be ${wanted ? 'encrypted' : 'decrypted'}: ${problem}`
    step.asides.push(this.#aside(entry!.record, item.queue, 'DECRYPT', error))
    return false
  }

  #window(place: PartitionEntry, outcomeUnknown: boolean): number {
    const window = place.queue.options.dedupWindowSeconds
    // The flush that may have stored these ran just before they were accepted here; a minute is generous.
    return outcomeUnknown ? Math.max(window, 60) : window
  }

  #aside(
    record: BufferedRecord,
    queue: string | null,
    reason: SetAsideRecord['reason'],
    error: string,
    sqlState: string | null = null,
  ): QuarantineWrite {
    const { log, nowMs } = this.#parts
    return {
      id: `${log.bufferId}.${record.number}`,
      queue,
      number: record.number,
      lastNumber: record.number,
      file: null,
      offset: null,
      acceptedAtMicros: record.acceptedAtMicros,
      quarantinedAtMicros: Math.floor(nowMs() * 1000),
      flags: record.flags,
      attempts: 1,
      reason,
      error,
      sqlState,
      bytes: record.body.length,
      body: record.body,
    }
  }
}
