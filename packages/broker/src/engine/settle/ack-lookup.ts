/**
 * Acks that the lease book does not know, looked up in the database: what they mean, and which cursor they are for.
 *
 * Invariant: the cost grows with what is stored, not with what is asked. A request may name ten thousand leases and groups
 * that do not exist: cursors are read many at a time, a partition's keys once for all ids, and an id that was never
 * issued as a lease of the partition costs no read.
 */
import type { ConsumeStore, CursorQuery, CursorView } from '../../ports/consume-store.ts'
import { leasePlace } from '../format/lease-id.ts'
import { hasOffset, NO_OFFSETS, offsetSetOf } from '../format/offset-set.ts'
import type { Catalog } from '../queues/catalog.ts'
import { Refusal } from '../refusal.ts'
import type { AckItem, PartitionEntry } from '../types.ts'
import { findOffsets, type WantedOffset } from './key-search.ts'

export interface LookupParts {
  readonly store: Pick<ConsumeStore, 'readAckCursors' | 'readSegmentKeys' | 'readGone'>
  readonly catalog: Pick<Catalog, 'partitionsById'>
}

export interface UnknownAck {
  readonly index: number
  readonly item: AckItem
  readonly partitionId: string
  /** Read by an ack that names neither a group nor a lease that is held. */
  readonly group: string
}

export interface FoundAck {
  readonly ack: UnknownAck
  /** null = there is none. */
  readonly partition: PartitionEntry | null
  /** null = the lease is not known there, or the group never read the partition. */
  readonly cursor: CursorView | null
  /** -1 = no such message. */
  readonly offset: number
}

// Partitions a read: their cursors and names come in one statement each.
const PARTITIONS_AT_ONCE = 500

/** In no order. @throws StoreError, Refusal OVERLOADED when the time is over */
export async function lookUpAcks(
  { store, catalog }: LookupParts,
  acks: readonly UnknownAck[],
  requiredLeases: readonly string[],
  deadlineMs: number,
): Promise<FoundAck[]> {
  const checkTime = (): void => {
    if (performance.now() >= deadlineMs) throw new Refusal('OVERLOADED')
  }
  const byPartition = new Map<string, UnknownAck[]>()
  for (const ack of acks) {
    const list = byPartition.get(ack.partitionId)
    if (list === undefined) byPartition.set(ack.partitionId, [ack])
    else list.push(ack)
  }
  const required = new Map<string, number>()
  for (const leaseId of requiredLeases) if (!required.has(leaseId)) required.set(leaseId, required.size)

  const found: FoundAck[] = []
  const ids = [...byPartition.keys()]
  for (let at = 0; at < ids.length; at += PARTITIONS_AT_ONCE) {
    checkTime()
    const asked = ids.slice(at, at + PARTITIONS_AT_ONCE)
    const partitions = await catalog.partitionsById(asked)
    const here = asked.flatMap((id) => (partitions.has(id) ? byPartition.get(id)! : []))
    checkTime()
    const cursors = new CursorsFound(await store.readAckCursors(cursorQuery(here, required)), required)
    for (const id of asked) {
      const partition = partitions.get(id)
      const list = byPartition.get(id)!
      if (partition === undefined) {
        for (const ack of list) found.push({ ack, partition: null, cursor: null, offset: -1 })
        continue
      }
      const wanted = list.map((ack) => {
        const tries = [...cursors.requiredFor(ack), cursors.of(ack)].map((cursor) => ({
          cursor,
          wanted: wantedOffset(ack, cursor),
        }))
        return { ack, tries }
      })
      await findOffsets(
        store,
        id,
        wanted.flatMap(({ tries }) => tries.map((each) => each.wanted)),
        checkTime,
      )
      for (const { ack, tries } of wanted) {
        const holding = tries.find(({ wanted }) => hasOffset(wanted.leased, wanted.offset)) ?? tries.at(-1)!
        found.push({ ack, partition, cursor: holding.cursor, offset: holding.wanted.offset })
      }
    }
  }
  return withoutGone(store, found, checkTime)
}

function wantedOffset({ item }: UnknownAck, cursor: CursorView | null): WantedOffset {
  return { transactionId: item.transactionId, leased: cursor?.leased ?? NO_OFFSETS, offset: -1 }
}

/** Keys outlive their messages. Where a cursor is written the statement tells; the others are looked at here. */
async function withoutGone(
  store: LookupParts['store'],
  found: readonly FoundAck[],
  checkTime: () => void,
): Promise<FoundAck[]> {
  const offsets = new Map<string, number[]>()
  for (const { ack, cursor, offset } of found) {
    if (cursor !== null || offset < 0) continue
    const list = offsets.get(ack.partitionId)
    if (list === undefined) offsets.set(ack.partitionId, [offset])
    else list.push(offset)
  }
  if (offsets.size === 0) return [...found]
  checkTime()
  const gone = await store.readGone(new Map([...offsets].map(([id, list]) => [id, offsetSetOf(list)])))
  return found.map((each) =>
    each.cursor === null && each.offset >= 0 && hasOffset(gone.get(each.ack.partitionId) ?? NO_OFFSETS, each.offset)
      ? { ...each, offset: -1 }
      : each,
  )
}

function cursorQuery(acks: readonly UnknownAck[], required: ReadonlyMap<string, number>): CursorQuery {
  const places = new Map<string, { partitionId: string; group: string }>()
  const partitionIds = new Set<string>()
  const leaseIds = new Set<string>()
  let bare = false
  for (const { item, partitionId, group } of acks) {
    if (item.leaseId !== null) {
      if (!mayHold(item.leaseId, partitionId)) continue
      partitionIds.add(partitionId)
      leaseIds.add(item.leaseId)
      continue
    }
    places.set(placeKey(partitionId, group), { partitionId, group })
    if (item.consumerGroup !== null || required.size === 0) continue
    bare = true
    partitionIds.add(partitionId)
  }
  if (bare) for (const leaseId of required.keys()) if (leasePlace(leaseId) !== null) leaseIds.add(leaseId)
  return { places: [...places.values()], partitionIds: [...partitionIds], leaseIds: [...leaseIds] }
}

/** Whether a lease of this id can have been given in the partition. */
function mayHold(leaseId: string, partitionId: string): boolean {
  const place = leasePlace(leaseId)
  return place === 'shared' || place === partitionId
}

class CursorsFound {
  readonly #byGroup = new Map<string, CursorView>()
  readonly #byLease = new Map<string, CursorView>()
  /** By partition: those that hold required leases. */
  readonly #required: ReadonlyMap<string, readonly CursorView[]>

  constructor(cursors: readonly CursorView[], required: ReadonlyMap<string, number>) {
    const holding: CursorView[] = []
    for (const cursor of cursors) {
      const { partitionId, group, leaseId } = cursor
      this.#byGroup.set(placeKey(partitionId, group), cursor)
      if (leaseId === null) continue
      this.#byLease.set(placeKey(partitionId, leaseId), cursor)
      if (required.has(leaseId)) holding.push(cursor)
    }
    holding.sort((a, b) => required.get(a.leaseId!)! - required.get(b.leaseId!)!)
    this.#required = Map.groupBy(holding, ({ partitionId }) => partitionId)
  }

  /** Under which of them an ack without group and lease is meant, if they hold its message, in the order of the request. */
  requiredFor({ item, partitionId }: UnknownAck): readonly CursorView[] {
    return item.leaseId !== null || item.consumerGroup !== null ? [] : (this.#required.get(partitionId) ?? [])
  }

  of({ item, partitionId, group }: UnknownAck): CursorView | null {
    if (item.leaseId !== null) return this.#byLease.get(placeKey(partitionId, item.leaseId)) ?? null
    return this.#byGroup.get(placeKey(partitionId, group)) ?? null
  }
}

/** Of a partition, whose id has one length, and a group or lease. */
function placeKey(partitionId: string, name: string): string {
  return partitionId + name
}
