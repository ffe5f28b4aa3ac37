/**
 * Stores what several instances have staged, in the order in which it was accepted, through the ordinary drain.
 *
 *   staged rows ─▶ one list by time ─▶ Drain ─▶ one transaction: segments + taken_through of the rows touched
 *
 * Invariants: nothing later than the frontier is stored; a row that another instance moved meanwhile stops the run, and
 * everything is read anew; so does another copy of the database, which may lack what the run has stored, and have other
 * records in its rows; inside one buffer the record number decides, whatever the clock said.
 */
import type { DrainStore, StagedRow, TakenMark } from '../../ports/drain-store.ts'
import type { DrainStep, PushResult, PushStore, SegmentWrite } from '../../ports/push-store.ts'
import type { BufferedRecord, RecordBatch, SetAsideRecord } from '../../ports/record-log.ts'
import type { DrainLog } from './horizon-log.ts'
import { decodeStaged } from './staged-batch.ts'
import { isStored } from './step.ts'

// In memory at a time. While an instance is waited for, the others stage what arrives in rows of a few records each, and
// then thousands of rows have to be caught up with: few rows a transaction would be no faster than the load.
const ROWS_MAX = 3_000
const ROWS_BYTES_MAX = 48 * 1024 * 1024

export interface MergeParts {
  readonly store: DrainStore
  /** For reading only. */
  readonly push: PushStore
  /** For records that PostgreSQL refuses even to set aside. */
  readonly quarantine: DrainLog['quarantine']
  /** Runs the ordinary drain over a log and a store until the log is empty. */
  readonly drain: (log: DrainLog, store: PushStore, goOn: () => boolean) => Promise<'empty' | 'stopped' | 'diverted'>
}

interface Merged {
  readonly record: BufferedRecord
  readonly row: StagedRow
  /** No record of its row lies behind it. */
  readonly endsRow: boolean
}

export class Merge {
  readonly #parts: MergeParts
  #copy = 0

  constructor(parts: MergeParts) {
    this.#parts = parts
  }

  /** The copy of the database that runs read from, as far as is known. */
  get copy(): number {
    return this.#copy
  }

  /** The database is another copy: nothing read from the one before is stored. */
  expectOther(): void {
    this.#copy++
  }

  /** Stores staged records up to the frontier, for about `ms`. The frontier is that of this copy. @throws StoreError */
  async run(frontierMicros: number, copy: number, ms: number): Promise<void> {
    const endsAt = performance.now() + ms
    const isCurrent = (): boolean => copy === this.#copy
    const goOn = (): boolean => isCurrent() && performance.now() < endsAt
    while (goOn()) {
      const rows = await this.#parts.store.readStaged(frontierMicros, ROWS_MAX, ROWS_BYTES_MAX)
      const list = mergedList(rows, frontierMicros)
      if (list.length === 0) return
      const run = new MergeRun(list, this.#parts, isCurrent)
      if ((await this.#parts.drain(run.log, run.store, goOn)) !== 'empty') return
    }
  }
}

/** What may be stored now, in order. */
export function mergedList(rows: readonly StagedRow[], frontierMicros: number): Merged[] {
  let upTo = frontierMicros
  // What lies behind a row that was not read may be older than the rest.
  for (const row of rows) if (row.moreBehind) upTo = Math.min(upTo, row.latestMicros)
  const queues = new Map<string, { entries: (Merged & { at: number })[]; next: number; latest: number }>()
  for (const row of rows) {
    let queue = queues.get(row.bufferId)
    if (queue === undefined) {
      queue = { entries: [], next: 0, latest: 0 }
      queues.set(row.bufferId, queue)
    }
    const records = decodeStaged(row.body)
    for (const record of records) {
      if (record.number <= row.takenThrough) continue
      // Never before the one in front of it, should the clock have gone back at a restart.
      queue.latest = Math.max(queue.latest, record.acceptedAtMicros)
      queue.entries.push({ record, row, at: queue.latest, endsRow: record === records.at(-1) })
    }
  }
  const ordered = [...queues.keys()].sort().map((id) => queues.get(id)!)
  const list: Merged[] = []
  for (;;) {
    let first: (typeof ordered)[number] | null = null
    for (const queue of ordered) {
      const entry = queue.entries[queue.next]
      if (entry === undefined || entry.at > upTo) continue
      if (first === null || entry.at < first.entries[first.next]!.at) first = queue
    }
    if (first === null) return list
    list.push(first.entries[first.next]!)
    first.next++
  }
}

/** One list as a log of records 1, 2, 3 …, and the store that moves the rows along. */
class MergeRun {
  readonly #list: readonly Merged[]
  readonly #parts: MergeParts
  readonly #isCurrent: () => boolean
  readonly #taken = new Map<string, number>()
  #cursor = 0
  #done = 0

  constructor(list: readonly Merged[], parts: MergeParts, isCurrent: () => boolean) {
    this.#list = list
    this.#parts = parts
    this.#isCurrent = isCurrent
    for (const { row } of list) this.#taken.set(row.id, row.takenThrough)
  }

  readonly log: DrainLog = {
    bufferId: 'staged',
    quarantine: {
      add: (entry: SetAsideRecord) => this.#parts.quarantine.add(this.#asIn(entry)),
    },
    read: async ({ bytes, records }) => this.#read(records, bytes),
    rewind: () => {
      this.#cursor = this.#done
    },
    drained: async (through) => {
      this.#done = Math.max(this.#done, through)
    },
    setDrainedThrough: async () => {},
  }

  get store(): PushStore {
    const { push } = this.#parts
    return {
      pushMessages: (writes, step) => this.#store(writes, step!),
      pushKnown: (writes) => push.pushKnown(writes),
      pushInTransaction: (session, writes) => push.pushInTransaction(session, writes),
      readKeys: (...place) => push.readKeys(...place),
      readDrainProgress: async () => 0,
      storedFlushes: (flushes) => push.storedFlushes(flushes),
    }
  }

  /** A record of the list, named as in the buffer it came from. */
  #asIn<T extends SetAsideRecord>(entry: T): T {
    const { record, row } = this.#list[entry.number! - 1]!
    return { ...entry, id: `${row.bufferId}.${record.number}`, number: record.number, lastNumber: record.number }
  }

  #read(recordsMax: number, bytesMax: number): RecordBatch {
    const records: BufferedRecord[] = []
    let bytes = 0
    while (this.#cursor < this.#list.length && records.length < recordsMax && bytes < bytesMax) {
      const { record } = this.#list[this.#cursor]!
      this.#cursor++
      records.push({ ...record, number: this.#cursor })
      bytes += record.end - record.start
    }
    return { records, through: this.#cursor, empty: records.length === 0 }
  }

  async #store(writes: readonly SegmentWrite[], step: DrainStep): Promise<PushResult> {
    const through = new Map<string, number>()
    for (let number = step.from; number <= step.through; number++) {
      const { endsRow, record, row } = this.#list[number - 1]!
      // A row's end may lie behind its last record: damaged ones are counted and not carried.
      through.set(row.id, endsRow ? row.lastNumber : record.number)
    }
    const marks: TakenMark[] = [...through].map(([id, to]) => ({ id, before: this.#taken.get(id)!, through: to }))
    const setAside = step.setAside.map((entry) => this.#asIn(entry))
    const result = await this.#parts.store.storeMerged(writes, marks, setAside, this.#isCurrent)
    if (isStored(result)) {
      for (const mark of marks) this.#taken.set(mark.id, mark.through)
    }
    return result
  }
}
