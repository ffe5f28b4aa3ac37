/**
 * Records that could not be stored, for the operator: list, store after all, drop.
 *
 * They lie in PostgreSQL, where the drain put them, so any instance acts on all of them. Damage that an instance found
 * on its own disk lies there first and is handed over as soon as PostgreSQL may be written.
 *
 * Invariants: a record leaves PostgreSQL's quarantine in the transaction that stores it; it leaves the disk only after
 * PostgreSQL has it; nothing is handed over while maintenance is on (the database may be about to be replaced).
 */
import type { QuarantineRow, QuarantineStore, QuarantineWrite } from '../../ports/quarantine-store.ts'
import type { RecordLog, SetAsideRecord } from '../../ports/record-log.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { PayloadCipher } from '../cipher.ts'
import type { Engine, QuarantinedRecord } from '../engine.ts'
import { readToken, tokenOf } from '../list-token.ts'
import { isoOfMicros } from '../maintenance/instance-view.ts'
import { RecordReader } from '../push/buffered-message.ts'
import { PushItem } from '../push/push-item.ts'
import { Refusal } from '../refusal.ts'
import type { TransactionPush } from '../settle/transaction.ts'
import { answering, toRefusal } from '../store-refusal.ts'
import type { MaintenancePhase } from '../types.ts'

export interface QuarantineParts {
  readonly store: QuarantineStore
  readonly log: Pick<RecordLog, 'bufferId' | 'quarantine'>
  readonly cipher: PayloadCipher | null
  readonly instanceId: string
  readonly phase: () => MaintenancePhase
  /** The other instances as last heard of. */
  readonly instances: () => readonly { id: string; live: boolean; bufferId: string | null; onDisk: number | null }[]
  readonly preparePush: (items: readonly PushItem[]) => Promise<TransactionPush>
}

export type Quarantine = Pick<Engine, 'listQuarantine' | 'retryQuarantined' | 'dropQuarantined'> & {
  /** Hands over what lies on this instance's disk. @throws StoreError */
  handOver(): Promise<void>
}

// One answer's worth of raw bytes of a damaged record.
const RAW_BYTES_MAX = 64 * 1024
const HAND_OVER_RECORDS = 100
// Only what a buffer finds damaged is named by its place; everything else already has a name that is unique everywhere.
const DAMAGE = 'damage-'

export function createQuarantine(parts: QuarantineParts): Quarantine {
  const { instanceId, log, store } = parts

  // A list made between the two steps of handing over would show a record twice, or not at all.
  let turn: Promise<unknown> = Promise.resolve()
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work)
    turn = mine.catch(() => {})
    return mine
  }

  const nameOf = (localId: string): string => (localId.startsWith(DAMAGE) ? `${log.bufferId}.${localId}` : localId)
  const localIdOf = (id: string): string =>
    id.startsWith(`${log.bufferId}.${DAMAGE}`) ? id.slice(log.bufferId.length + 1) : id

  function payloadOf(item: PushItem): Buffer | null {
    const bytes = item.source.subarray(item.payloadStart, item.payloadEnd)
    if (!item.encrypted) return bytes
    try {
      return parts.cipher?.decrypt(bytes) ?? null
    } catch {
      return null
    }
  }

  function view(entry: SetAsideRecord, of: { instanceId: string; live: boolean }): QuarantinedRecord {
    const item = decode(entry)
    return {
      id: entry.id,
      ...of,
      queue: item?.queue ?? null,
      partition: item?.partition ?? null,
      transactionId: item?.transactionId ?? null,
      traceId: item?.traceId ?? null,
      producerSub: item?.producerSub ?? null,
      payload: item === null ? null : payloadOf(item),
      payloadBytes: item === null ? entry.bytes : item.payloadEnd - item.payloadStart,
      acceptedAt: entry.acceptedAtMicros === null ? null : isoOfMicros(entry.acceptedAtMicros),
      quarantinedAt: isoOfMicros(entry.quarantinedAtMicros),
      attempts: entry.attempts,
      reason: entry.reason,
      error: entry.error,
      sqlState: entry.sqlState,
      rawBase64: item === null ? entry.body.subarray(0, RAW_BYTES_MAX).toString('base64') : null,
    }
  }

  /** Why a record nobody here knows cannot be acted on. */
  function refuse(id: string): never {
    const owner = parts.instances().find(({ bufferId }) => bufferId !== null && id.startsWith(`${bufferId}.${DAMAGE}`))
    if (owner === undefined || owner.onDisk === 0) throw new Refusal('QUARANTINE_NOT_FOUND')
    if (!owner.live) throw new Refusal('INSTANCE_NOT_LIVE')
    throw new Refusal('MAINTENANCE', `The record is still on the disk of instance '${owner.id}'`)
  }

  /** The item a retry stores. */
  function itemOf(entry: QuarantineRow, overrides: Parameters<Quarantine['retryQuarantined']>[1]): PushItem {
    const decoded = decode(entry)
    const queue = overrides.queue ?? decoded?.queue
    const payload = overrides.payload ?? (decoded === null ? null : payloadOf(decoded))
    if (queue === undefined || payload === null) {
      const lacks = queue === undefined ? 'is damaged: give queue and payload' : 'cannot be decrypted: give a payload'
      throw new Refusal('INVALID_PAYLOAD', `The record ${lacks} to store it`)
    }
    const partition = overrides.partition ?? decoded?.partition ?? 'Default'
    const { traceId = null, producerSub = null, transactionId = '' } = decoded ?? {}
    return new PushItem(queue, partition, transactionId, traceId, producerSub, payload, 0, payload.length)
  }

  return {
    listQuarantine({ queue, instance, limit, offset, after }) {
      const place = after === null ? null : placeOf(after)
      const read = async () => {
        const inStore = place === null || place.disk === null
        const wanted = { queue, instance, limit: inStore ? limit : 1, offset, after: place?.seq ?? null }
        const listed = await store.list(wanted).catch(unavailable)
        const stored = inStore ? listed : { rows: [], total: listed.total, next: null }
        const live = new Set([instanceId, ...parts.instances().flatMap((each) => (each.live ? [each.id] : []))])
        const rows = stored.rows.map((row) => view(row, { instanceId: row.instanceId, live: live.has(row.instanceId) }))
        // What is still on this instance's disk comes last: it was found after the last drain. Damage has no queue.
        const onDisk = queue === null && (instance === null || instance === instanceId) ? log.quarantine.count : 0
        const total = stored.total + onDisk
        let next = stored.next === null ? null : tokenOf(['stored', stored.next])
        if (next === null && onDisk > 0) {
          const from = place === null ? Math.max(0, offset + rows.length - stored.total) : (place.disk ?? 0)
          const own = await log.quarantine.list({ offset: from, limit: limit - rows.length })
          rows.push(...own.map((entry) => view({ ...entry, id: nameOf(entry.id) }, { instanceId, live: true })))
          const end = from + own.length
          // An empty page leads nowhere: it would be asked for again and again.
          if (end < onDisk && rows.length > 0) next = tokenOf(['disk', String(end)])
        }
        return { rows, total, limit, offset, hasMore: next !== null, next }
      }
      return log.quarantine.count > 0 ? inTurn(read) : read()
    },

    async retryQuarantined(id, overrides) {
      if (parts.phase() !== 'normal') throw new Refusal('MAINTENANCE')
      if ((await log.quarantine.get(localIdOf(id))) !== null) await this.handOver().catch(unavailable)
      const entry = await store.get(id).catch(unavailable)
      if (entry === null) return refuse(id)
      const item = itemOf(entry, overrides)
      try {
        // Whoever knew a queue that was deleted meanwhile finds the one of its name at the next try.
        const push = await answering(async () => {
          const prepared = await parts.preparePush([item])
          const dropped = await store.dropWith(id, async (session) => {
            if ((await prepared.run({ session })) !== null) throw new NotStorable()
          })
          return dropped ? prepared : null
        })
        // Somebody else was faster.
        if (push === null) throw new Refusal('QUARANTINE_NOT_FOUND')
        push.committed()
        return item
      } catch (error) {
        const refused = error instanceof NotStorable || (error instanceof StoreError && error.failure === 'rejected')
        if (!refused) throw error
        await store.attempted(id).catch(unavailable)
        const why = error instanceof NotStorable ? item.failure?.error : error.message
        throw new Refusal('INVALID_PAYLOAD', `The record still cannot be stored: ${why}`)
      }
    },

    async dropQuarantined(id) {
      // In both places when this instance died between the two steps of handing over.
      const onDisk = await inTurn(() => log.quarantine.remove(localIdOf(id)))
      const stored = await store.drop(id).catch((error: unknown) => (onDisk ? false : unavailable(error)))
      if (!onDisk && !stored) refuse(id)
    },

    async handOver() {
      let goesOn = true
      while (goesOn && log.quarantine.count > 0) goesOn = await inTurn(handOverSome)
    },
  }

  /** False when PostgreSQL may not be written, or nothing was left. */
  async function handOverSome(): Promise<boolean> {
    const entries = await log.quarantine.listWhole(HAND_OVER_RECORDS)
    const records = entries.map((entry): QuarantineWrite => {
      return { ...entry, id: nameOf(entry.id), queue: decode(entry)?.queue ?? null }
    })
    if (entries.length === 0 || (await store.add(instanceId, records)) === 'diverted') return false
    for (const { id } of entries) await log.quarantine.remove(id)
    return true
  }
}

/** Where a page begins: behind a row of PostgreSQL, or behind so many of this instance's disk. */
function placeOf(after: string): { seq: string | null; disk: number | null } {
  const [where, at] = readToken(
    after,
    2,
    ([kind = '', number = '']) => ['stored', 'disk'].includes(kind) && /^\d{1,15}$/.test(number),
  )
  return where === 'stored' ? { seq: at!, disk: null } : { seq: null, disk: Number(at) }
}

/** Rolls the transaction back; the item says why. */
class NotStorable extends Error {}

const reader = new RecordReader()

function decode(entry: SetAsideRecord): PushItem | null {
  const { acceptedAtMicros, body, flags, number } = entry
  if (number === null || acceptedAtMicros === null || flags === null) return null
  try {
    return reader.read({ acceptedAtMicros, bytes: body, start: 0, end: body.length })
  } catch {
    return null
  }
}

function unavailable(error: unknown): never {
  throw toRefusal(error)
}
