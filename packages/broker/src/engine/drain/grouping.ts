/** Sorts the records of a step by partition, and sets aside those that cannot be stored. */
import type { PushStore } from '../../ports/push-store.ts'
import type { QuarantineWrite } from '../../ports/quarantine-store.ts'
import type { BufferedRecord, SetAsideRecord } from '../../ports/record-log.ts'
import type { PayloadCipher } from '../cipher.ts'
import { type KeyCheck, WRONG_KEY } from '../key-check.ts'
import type { BufferedItem } from '../push/buffered-message.ts'
import type { PushItem } from '../push/push-item.ts'
import type { PartitionEntry, QueueEntry } from '../types.ts'

export interface DrainCatalog {
  /** Those of them that exist. */
  queues(names: ReadonlySet<string>): Promise<Map<string, QueueEntry>>
  ensurePartitions(names: readonly { queue: string; partition: string }[]): Promise<PartitionEntry[]>
  forget(queue: string): void
  /** When the queues of these names were last deleted, microseconds since 1970; those that never were are left out. */
  deletedAtMicros(names: readonly string[]): Promise<Map<string, number>>
}

export interface GroupingParts {
  readonly store: Pick<PushStore, 'storedFlushes'>
  readonly log: { readonly bufferId: string }
  readonly catalog: DrainCatalog
  readonly cipher: PayloadCipher | null
  readonly key: Pick<KeyCheck, 'isWrong'>
  readonly nowMs: () => number
}

export interface StepRecords {
  readonly items: { item: BufferedItem; record: BufferedRecord }[]
  /** Of its records, those that go into the quarantine. */
  readonly asides: QuarantineWrite[]
}

interface Group {
  readonly queue: string
  readonly partition: string
  readonly items: BufferedItem[]
}

// How far a clock may have been wrong when a flush was sent.
const CLOCKS_APART_MICROS = 60_000_000

export class Grouping {
  readonly #parts: GroupingParts

  constructor(parts: GroupingParts) {
    this.#parts = parts
  }

  /** What is left of the step by partition, in record order; what cannot be stored is set aside on the way. */
  async group(step: StepRecords): Promise<Map<string, { place: PartitionEntry; items: PushItem[] }>> {
    const parts = this.#parts
    const names = new Map<string, Map<string, Group>>()
    const kept: StepRecords['items'] = []
    const late: QuarantineWrite[] = []
    const deleted = await this.#deletedAtMicros(step)
    let last: Group | null = null
    for (const entry of step.items) {
      const { item, record } = entry
      if (item.status === 'duplicate') continue
      // Most go where the one before them went.
      if (last !== null && item.partition === last.partition && item.queue === last.queue) {
        last.items.push(item)
        kept.push(entry)
        continue
      }
      if (!names.has(item.queue) && (deleted.get(item.queue) ?? Number.NEGATIVE_INFINITY) >= record.acceptedAtMicros) {
        const error = `Queue '${item.queue}' was deleted after this message was accepted`
        late.push(this.aside(record, item.queue, 'QUEUE_DELETED', error))
        continue
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
      last = group
      kept.push(entry)
    }
    // Both at once, or a group that failed half-way would set records aside twice.
    step.asides.push(...late)
    step.items.length = 0
    step.items.push(...kept)
    const groups = [...names.values()].flatMap((partitions) => [...partitions.values()])
    const places = groups.length === 0 ? [] : await parts.catalog.ensurePartitions(groups)
    if (await this.#findStored(groups, places)) {
      const left = step.items.filter(({ item }) => item.status === null)
      step.items.length = 0
      step.items.push(...left)
    }
    const out = new Map<string, { place: PartitionEntry; items: PushItem[] }>()
    for (const [index, group] of groups.entries()) {
      const place = places[index]!
      const items: PushItem[] = []
      const wanted = place.queue.options.encryptionEnabled
      const sealable = !wanted || !parts.key.isWrong
      for (const item of group.items) {
        if (item.status !== null) continue
        if ((sealable && item.encrypted === wanted) || this.#fitEncryption(step, item, wanted)) items.push(item)
      }
      if (items.length > 0) out.set(place.id, { place, items })
    }
    return out
  }

  /**
   * When the step's queues were deleted, but for those that are there (again): what was accepted before then belongs to
   * the deleted one. Asked for all at once: a step may hold ten thousand queues that nobody remembers.
   */
  async #deletedAtMicros({ items }: StepRecords): Promise<Map<string, number>> {
    const { catalog } = this.#parts
    const names = new Set<string>()
    let last = ''
    for (const { item } of items) {
      if (item.queue === last) continue
      last = item.queue
      names.add(last)
    }
    const found = await catalog.queues(names)
    const missing = [...names].filter((name) => !found.has(name))
    return missing.length === 0 ? new Map() : catalog.deletedAtMicros(missing)
  }

  /**
   * Takes for duplicates what a lost flush has stored: all that it carried for the partition, whatever the ids say. Whether
   * there was such. What it has not stored is judged like any other record.
   */
  async #findStored(groups: readonly Group[], places: readonly PartitionEntry[]): Promise<boolean> {
    const flushes = new Map<
      string,
      { partitionId: string; idBase: string; sinceMicros: number; items: BufferedItem[] }
    >()
    groups.forEach(({ items }, index) => {
      const partitionId = places[index]!.id
      for (const item of items) {
        const { lostFlush: idBase } = item
        if (idBase === null) continue
        let flush = flushes.get(partitionId + idBase)
        if (flush === undefined) {
          flush = { partitionId, idBase, sinceMicros: item.lostAtMicros - CLOCKS_APART_MICROS, items: [] }
          flushes.set(partitionId + idBase, flush)
        }
        flush.items.push(item)
      }
    })
    if (flushes.size === 0) return false
    const asked = [...flushes.values()]
    const stored = await this.#parts.store.storedFlushes(asked)
    asked.forEach(({ items }, index) => {
      if (stored[index]) for (const item of items) item.status = 'duplicate'
    })
    return stored.includes(true)
  }

  /** Encrypts or decrypts as the queue asks now; false when it cannot, and the record was set aside. */
  #fitEncryption(step: StepRecords, item: PushItem, wanted: boolean): boolean {
    const { cipher, key } = this.#parts
    let problem: string
    try {
      if (cipher === null) throw new Error('this instance has no encryption key')
      const bytes = item.source.subarray(item.payloadStart, item.payloadEnd)
      // What this (wrong) key opens was sealed with it while it could not be checked. Stored so, no instance with the right
      // key could read it; set aside, it can be read here until somebody acts. What it does not open was sealed with another
      // key, mostly the right one, and is stored as it is.
      if (item.encrypted && wanted && !opens(cipher, bytes)) return true
      if (wanted && key.isWrong) throw new Error(WRONG_KEY)
      item.replacePayload(wanted ? cipher.encrypt(bytes) : cipher.decrypt(bytes), wanted)
      return true
    } catch (error) {
      problem = error instanceof Error ? error.message : 'unknown'
    }
    const index = step.items.findIndex((entry) => entry.item === item)
    const [entry] = step.items.splice(index, 1)
    const error = `The payload cannot be ${wanted ? 'encrypted' : 'decrypted'}: ${problem}`
    step.asides.push(this.aside(entry!.record, item.queue, 'DECRYPT', error))
    return false
  }

  /** The record as it goes into the quarantine. */
  aside(
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
      bytes: record.end - record.start,
      body: record.body,
    }
  }
}

function opens(cipher: PayloadCipher, bytes: Uint8Array): boolean {
  try {
    cipher.decrypt(bytes)
    return true
  } catch {
    return false
  }
}
