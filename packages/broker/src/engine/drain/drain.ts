/**
 * Moves the records of the file buffer into PostgreSQL, in record order, each exactly once.
 *
 *   read ahead ─▶ decode ─▶ one segment a partition ─▶ one transaction: segments + buffer_progress ─▶ files freed
 *
 * While PostgreSQL commits a step the next one is read, decoded, built and sent, on the assumption that this one is stored as
 * it was sent: it waits in PostgreSQL for that one's locks. Where the assumption fails, PostgreSQL refuses it, and it is built
 * and sent again.
 *
 * Invariants: progress and messages commit together, so after a crash or a lost answer buffer_progress tells what is
 * stored (G3); nothing is freed on disk before that commit; a record that cannot be stored is set aside in the very
 * transaction that moves the progress past it, and stops nothing behind it (G8). The fence holds for a drain as for any
 * write (G5).
 *
 * It decides nothing about when to run: the maintenance control does.
 */
import type { DrainStep, PushResult, PushStore, SentSegment } from '../../ports/push-store.ts'
import type { QuarantineWrite } from '../../ports/quarantine-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { MessageIdSource } from '../format/message-id.ts'
import { type BufferedItem, RecordReader } from '../push/buffered-message.ts'
import { DedupCache } from '../push/dedup-cache.ts'
import { KeysAhead } from '../push/keys-ahead.ts'
import { learnOutcome, learnUpTo } from '../push/learn-keys.ts'
import type { StoredSegment } from '../push/push-lanes.ts'
import { buildSegment, compareIds, segmentBytesMax } from '../push/segment-build.ts'
import type { PartitionEntry } from '../types.ts'
import { Grouping, type GroupingParts } from './grouping.ts'
import type { DrainLog } from './horizon-log.ts'
import { type Built, isStored, type LostFlushes, lostFlushesOf, newStep, type Place, type Step } from './step.ts'
import { STEP_RECORDS_MIN, type StepSize } from './step-size.ts'

export interface DrainParts extends GroupingParts {
  readonly store: PushStore
  readonly log: DrainLog
  readonly dedup: DedupCache
  readonly ids: MessageIdSource
  readonly stepSize: StepSize
  /**
   * Resolves when nothing that was sent before `ageMs` ago and not answered can be stored any more. @throws StoreError
   */
  readonly endLostFlushes: (ageMs: number) => Promise<void>
  readonly onStored: (stored: StoredSegment) => void
  /** After each commit, when the buffer counts them no more: records drained by it, set-aside ones included. */
  readonly onProgress: (records: number) => void
  /** Whether the store can hold a step until the one before it is stored (DrainStep.behind). */
  readonly sendsAhead: boolean
  /** After each commit that set records aside. */
  readonly onSetAside: (entries: readonly QuarantineWrite[]) => void
}

export type DrainEnd = 'empty' | 'stopped' | 'diverted'

interface Prepared {
  readonly steps: Step[]
  readonly empty: boolean
}

const STEP_BYTES_MAX = 4 * 1024 * 1024
const ATTEMPTS_MAX = 8
// Memory of keys for records of an unnamed flush; they are few.
const UNNAMED_KEYS_BYTES_MAX = 32 * 1024 * 1024

export class Drain {
  readonly #parts: DrainParts
  readonly #reader = new RecordReader()
  readonly #unnamedKeys = new DedupCache(UNNAMED_KEYS_BYTES_MAX)
  readonly #grouping: Grouping
  #inSync = false
  /** PostgreSQL may have forgotten records that it had taken. */
  #mayGoBack = false
  #syncing: Promise<void> | null = null
  #begun = false
  #running = false
  #isCurrent: (() => boolean) | null = null
  /** How far PostgreSQL has this buffer, as far as is known. */
  #stored = 0
  /** Settles when the step that was sent last is answered; never rejects. */
  #underWay: Promise<unknown> = Promise.resolve()
  /** Files of what was stored last. */
  #freeing: Promise<void> = Promise.resolve()

  constructor(parts: DrainParts) {
    this.#parts = parts
    this.#grouping = new Grouping(parts)
  }

  /** The next run asks PostgreSQL how far this buffer is drained before it stores anything. */
  distrust(): void {
    this.#inSync = false
  }

  /** The database may be an older one: records that it does not have, and the disk still has, are drained once more. */
  expectOlder(): void {
    this.#inSync = false
    this.#mayGoBack = true
  }

  /** True until PostgreSQL has said how far it has this buffer: an older copy may lack records that the disk has freed. */
  get isInDoubt(): boolean {
    return !this.#inSync
  }

  /** How far PostgreSQL has this buffer, as far as is known. */
  get storedThrough(): number {
    return this.#stored
  }

  /**
   * PostgreSQL has it up to there. @throws StoreError when it had more before: it is another copy of the database, and the
   * next run begins where that one ends.
   */
  moved(through: number): void {
    const isOlder = through < this.#stored
    this.#stored = through
    if (!isOlder) return
    this.expectOlder()
    throw new StoreError('unavailable', 'the database has less of the file buffer than it had: it is an older copy')
  }

  /**
   * Brings the buffer in line with what PostgreSQL has of it, unless that is certain, or a run goes on: its steps follow each
   * other, and would be stored behind what another copy of the database lacks. @throws StoreError
   */
  async sync(): Promise<void> {
    if (this.#inSync || this.#running) return
    // One at a time: an answer that comes late must not move the buffer back behind what was drained meanwhile.
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = null
    })
    await this.#syncing
  }

  async #sync(): Promise<void> {
    const { store, log } = this.#parts
    const { bufferId } = log
    let mayGoBack = this.#mayGoBack
    this.#mayGoBack = false
    try {
      const drainedThrough = await store.readDrainProgress(bufferId)
      mayGoBack ||= drainedThrough < this.#stored
      this.#stored = drainedThrough
      // Only what PostgreSQL remembered at the start may move the buffer past its end, and only then, or in another
      // database, back; otherwise it can be no more than a commit whose answer was lost.
      if (this.#begun) await log.drained(drainedThrough)
      if (!this.#begun || mayGoBack) await log.setDrainedThrough(drainedThrough)
      // Of a buffer that was given another id PostgreSQL has nothing.
      if (log.bufferId !== bufferId) this.#stored = 0
    } catch (error) {
      this.#mayGoBack ||= mayGoBack
      throw error
    }
    this.#begun = true
    this.#inSync = !this.#mayGoBack
  }

  /**
   * Drains until the buffer is empty, `goOn` says no, or the switch is met.
   * @throws StoreError when PostgreSQL fails, or a session turns out to be one to another copy than `isCurrent` holds for; the
   * records stay and the next run goes on after the last commit.
   */
  async run(goOn: () => boolean, isCurrent: (() => boolean) | null = null): Promise<DrainEnd> {
    const { log } = this.#parts
    this.#isCurrent = isCurrent
    let reading: Promise<unknown> = Promise.resolve()
    try {
      await this.sync()
      this.#running = true
      log.rewind()
      this.#freeing = Promise.resolve()
      let prepared = await this.#prepare()
      for (;;) {
        // A step that was sent is waited for.
        if (prepared.empty || (prepared.steps[0]?.early == null && !goOn())) {
          await this.#freeing
          return prepared.empty ? 'empty' : 'stopped'
        }
        const last = prepared.steps.at(-1)
        const sent = new Promise<void>((resolve) => {
          if (last !== undefined) last.onSent = resolve
        })
        const storing = this.#storeAll(prepared)
        const over = storing.then(
          () => {},
          () => {},
        )
        const next = this.#prepareBehind(last, Promise.race([sent, over]), goOn)
        reading = next.catch(() => {})
        if (!(await storing)) return 'diverted'
        prepared = await next
      }
    } catch (error) {
      if (error instanceof StoreError && error.outcomeUnknown) this.distrust()
      throw error
    } finally {
      // The next run must not read while this one still does, nor begin where this one has freed.
      await reading
      await this.#underWay
      await this.#freeing.catch(() => {})
      this.#running = false
    }
  }

  /** The batch behind `last`, with its first step built and sent as soon as `last` is under way. */
  async #prepareBehind(last: Step | undefined, underWay: Promise<unknown>, goOn: () => boolean): Promise<Prepared> {
    const next = await this.#prepare()
    const [step] = next.steps
    if (last === undefined || step === undefined || step.lost !== 'none') return next
    // Whatever is in its way is met again, and answered, when its turn has come.
    step.ahead = await underWay.then(() => this.#build(step, last.sent)).catch(() => null)
    if (this.#parts.sendsAhead && goOn()) this.#sendEarly(step, last)
    return next
  }

  #sendEarly(step: Step, last: Step): void {
    const { ahead, asides } = step
    const before = ahead?.after?.places.find(({ segment }) => segment.stored.length > 0)
    if (ahead === null || before === undefined || asides.length > 0) return
    step.early = this.#send(step, ahead, last.through, {
      partitionId: before.place.id,
      idBase: before.segment.write.idBase,
      guessed: ahead.places.filter(({ guessed }) => guessed).map(({ place }) => place.id),
    })
    this.#underWay = step.early.catch(() => {})
  }

  #send({ asides, from, through }: Step, { places }: Built, after: number, behind?: SentSegment): Promise<PushResult> {
    const { log, store } = this.#parts
    const drain: DrainStep = {
      bufferId: log.bufferId,
      after,
      from,
      through,
      setAside: asides,
      ...(behind === undefined ? {} : { behind }),
      ...(this.#isCurrent === null ? {} : { isCurrent: this.#isCurrent }),
    }
    return store.pushMessages(
      places.map(({ segment }) => segment.write),
      drain,
    )
  }

  async #prepare(): Promise<Prepared> {
    const batch = await this.#parts.log.read({ records: this.#parts.stepSize.records, bytes: STEP_BYTES_MAX })
    const steps: Step[] = []
    let step: Step | null = null
    // Numbers no record stands for any more (damage, already set aside) count with the step they lie in.
    let next = batch.records[0]?.number ?? batch.through
    for (const record of batch.records) {
      let item: BufferedItem | null = null
      let problem = ''
      try {
        item = this.#reader.read(record)
      } catch (error) {
        problem = error instanceof Error ? error.message : 'unreadable'
      }
      const lost = lostFlushesOf(record, item)
      if (step === null || step.lost !== lost) {
        step = newStep(next, record.number, lost)
        steps.push(step)
      }
      step.records++
      step.through = record.number
      next = record.number + 1
      if (item !== null) step.items.push({ item, record })
      else step.asides.push(this.#grouping.aside(record, null, 'CORRUPT', problem))
    }
    if (step !== null) step.through = batch.through
    else if (!batch.empty) steps.push(newStep(batch.through, batch.through, 'none'))
    return { steps, empty: batch.empty }
  }

  /** False when the switch was met. */
  async #storeAll(prepared: Prepared): Promise<boolean> {
    for (const step of prepared.steps) if (!(await this.#storeStep(step))) return false
    return true
  }

  async #storeStep(step: Step): Promise<boolean> {
    const { endLostFlushes, log, nowMs, onProgress, onSetAside, stepSize } = this.#parts
    const [last] = step.items.slice(-1)
    if (step.lost !== 'none' && last !== undefined) await endLostFlushes(nowMs() - last.record.acceptedAtMicros / 1000)
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
        if (error.failure === 'locked') stepSize.tookTooLong()
        // Too much for one statement: halved at once, because the whole would be too much again.
        if (error.tooLong && step.items.length > STEP_RECORDS_MIN) return this.#storeHalves(step, null)
        if (error.failure !== 'conflict') throw error
      }
      // Others keep storing what this step holds, or it keeps meeting their locks: a half needs less time between them.
      if (++attempts >= ATTEMPTS_MAX && step.items.length > 1) return this.#storeHalves(step, null)
      if (attempts > 2 * ATTEMPTS_MAX)
        throw new StoreError('conflict', 'the drain keeps losing races with other writers')
    }
    stepSize.wasInTime()
    // The next step need not wait for the disk, but the one after it does.
    await this.#freeing
    this.#freeing = log.drained(step.through).finally(() => onProgress(step.records))
    this.#freeing.catch(() => {})
    if (step.asides.length > 0) onSetAside(step.asides)
    return true
  }

  async #storeHalves(step: Step, refusal: StoreError | null): Promise<boolean> {
    const { asides, items } = step
    if (refusal !== null && items.length === 1) {
      const [{ item, record }] = items as [Step['items'][number]]
      const refused = this.#grouping.aside(record, item.queue, 'REJECTED', refusal.message, refusal.sqlState)
      return this.#storeStep({ ...step, items: [], asides: [...asides, refused] })
    }
    if (refusal !== null && items.length === 0) {
      if (asides.length === 0) throw refusal
      // PostgreSQL refuses the record even as an entry of the quarantine: it is kept on the disk, in a file of its own.
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

  /** @param under a step that is under way, or was, and is taken for stored */
  async #build(step: Step, under: Built | null): Promise<Built | null> {
    const { ids, nowMs: now } = this.#parts
    const groups = [...(await this.#grouping.group(step)).values()]
    groups.sort((a, b) => compareIds(a.place.id, b.place.id))
    const nowMs = now()
    // Its answer may have come meanwhile.
    const after = under?.stored === false ? under : null
    const before = new Map(after?.places.map((each) => [each.place.id, each]))
    const blob = Buffer.allocUnsafe(groups.reduce((sum, group) => sum + segmentBytesMax(group.items), 0))
    const places: Place[] = []
    let end = 0
    for (const { place, items } of groups) {
      const window = this.#window(place, step.lost)
      const known = window === 0 ? null : this.#keysOf(step).partition(place.id, window)
      const coming = before.get(place.id)
      if (known !== null && coming !== undefined && coming.known !== known) return null
      const read = known === null || coming === undefined ? known : new KeysAhead(known, coming.segment.write.keys)
      const result = buildSegment(place.id, items, ids.take(items.length, nowMs), read, window, blob, end)
      end = result.end
      places.push({ place, items, window, known, guessed: read !== known, segment: result.segment })
    }
    return { nowMs, places, after, stored: false }
  }

  /** What was built ahead, if things came as it assumed. */
  #takeAhead(step: Step): Built | null {
    const { ahead } = step
    step.ahead = null
    if (ahead === null || ahead.after?.stored === false) return null
    // Otherwise each step would keep the one before it in memory, that one its own predecessor, and so on.
    ahead.after = null
    return this.#holds(step, ahead) ? ahead : null
  }

  /** Whether the memory of keys is still what it was built on. */
  #holds(step: Step, { places }: Built): boolean {
    return places.every(({ place, window, known, segment }) => {
      if (known === null) return true
      return known === this.#keysOf(step).partition(place.id, window) && known.to === segment.write.knownTo
    })
  }

  /** What was sent ahead, and its answer, when it is stored. @throws StoreError when PostgreSQL is away or that is not known */
  async #takeEarly(step: Step): Promise<{ built: Built; result: PushResult } | null> {
    const { ahead: built, early } = step
    step.early = null
    if (early === null || built === null) return null
    step.sent = built
    step.onSent()
    let result: PushResult
    try {
      result = await early
    } catch (error) {
      // Without PostgreSQL the run ends, as it does for any step: what comes back may be another copy of the database.
      if (!(error instanceof StoreError) || error.outcomeUnknown || error.failure === 'unavailable') throw error
      return null
    }
    if (!isStored(result)) return null
    step.ahead = null
    built.after = null
    // PostgreSQL has judged by what it has itself; what is known here must not have a hole now.
    if (!this.#holds(step, built)) for (const { place } of built.places) this.#parts.dedup.forget(place.id)
    return { built, result }
  }

  #keysOf(step: Step): DedupCache {
    return step.lost === 'unnamed' ? this.#unnamedKeys : this.#parts.dedup
  }

  async #write(step: Step): Promise<'stored' | 'again' | 'diverted'> {
    const parts = this.#parts
    const early = await this.#takeEarly(step)
    const built = early?.built ?? this.#takeAhead(step) ?? (await this.#build(step, null))!
    const { nowMs, places } = built
    const cache = this.#keysOf(step)
    step.sent = built
    step.onSent()
    const result = early?.result ?? (await this.#send(step, built, this.#stored))
    if (result.status === 'diverted') return 'diverted'
    if (result.status === 'progress') {
      this.moved(result.drainedThrough)
      await parts.log.drained(result.drainedThrough)
      return result.drainedThrough >= step.through ? 'stored' : this.#skip(step, result.drainedThrough)
    }
    let stored = true
    for (const [index, outcome] of result.outcomes.entries()) {
      const { place, items, window, known, segment } = places[index]!
      if (outcome.status !== 'stored') stored = false
      if (outcome.status === 'gone') {
        parts.catalog.forget(place.queue.name)
        parts.dedup.forget(place.id)
      }
      if (outcome.status === 'gone' || outcome.status === 'held') continue
      learnOutcome(known, outcome, segment.write.keys)
      if (outcome.status === 'stored') continue
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
    built.stored = true
    this.#stored = step.through
    for (const [index, outcome] of result.outcomes.entries()) {
      const { segment } = places[index]!
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

  #window(place: PartitionEntry, lost: LostFlushes): number {
    const window = place.queue.options.dedupWindowSeconds
    // The flush that may have stored these ran just before they were accepted here; a minute is generous.
    return lost === 'unnamed' ? Math.max(window, 60) : window
  }
}
