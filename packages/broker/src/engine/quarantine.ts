/**
 * Records that could not be stored, for the operator: list, store after all, drop.
 *
 * Only records of this instance's own buffer can be acted on; those of others are reached through them. A retry stores
 * at the end of the record's partition and removes the record only after the message is committed.
 */
import type { RecordLog, SetAsideRecord } from '../ports/record-log.ts'
import { StoreError } from '../ports/store-error.ts'
import { RecordReader } from './buffered-message.ts'
import type { PayloadCipher } from './cipher.ts'
import type { Engine, QuarantinedRecord } from './engine.ts'
import { isoOfMicros } from './instance-view.ts'
import { Refusal } from './refusal.ts'
import type { MaintenancePhase, Page, PushItem } from './types.ts'

export interface QuarantineParts {
  readonly log: RecordLog
  readonly cipher: PayloadCipher | null
  readonly instanceId: string
  readonly phase: () => MaintenancePhase
  /** Stores one item; its status tells. */
  readonly push: (item: PushItem) => Promise<void>
}

export type Quarantine = Pick<Engine, 'listQuarantine' | 'retryQuarantined' | 'dropQuarantined'>

// One answer's worth of raw bytes of a damaged record.
const RAW_BYTES_MAX = 64 * 1024
// Filters are applied while reading; this bounds what one request reads.
const SCAN_MAX = 10_000

export function createQuarantine(parts: QuarantineParts): Quarantine {
  const { log, instanceId } = parts

  function decode(entry: SetAsideRecord): PushItem | null {
    if (entry.number === null || entry.acceptedAtMicros === null || entry.flags === null) return null
    try {
      const record = {
        number: entry.number,
        acceptedAtMicros: entry.acceptedAtMicros,
        flags: entry.flags,
        body: entry.body,
      }
      return new RecordReader().read(record)
    } catch {
      return null
    }
  }

  function payloadOf(item: PushItem): Buffer | null {
    const bytes = item.source.subarray(item.payloadStart, item.payloadEnd)
    if (!item.encrypted) return bytes
    try {
      return parts.cipher?.decrypt(bytes) ?? null
    } catch {
      return null
    }
  }

  function view(entry: SetAsideRecord): QuarantinedRecord {
    const item = decode(entry)
    const payload = item === null ? null : payloadOf(item)
    return {
      id: entry.id,
      instanceId,
      live: true,
      queue: item?.queue ?? null,
      partition: item?.partition ?? null,
      transactionId: item?.transactionId ?? null,
      traceId: item?.traceId ?? null,
      producerSub: item?.producerSub ?? null,
      payload,
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

  return {
    async listQuarantine(query) {
      const none: Page<QuarantinedRecord> = {
        rows: [],
        total: 0,
        limit: query.limit,
        offset: query.offset,
        hasMore: false,
        next: null,
      }
      if (query.instance !== null && query.instance !== instanceId) return none
      let rows: QuarantinedRecord[]
      let total = log.quarantine.count
      if (query.queue === null) {
        rows = (await log.quarantine.list({ offset: query.offset, limit: query.limit })).map(view)
      } else {
        const all = (await log.quarantine.list({ limit: SCAN_MAX }))
          .map(view)
          .filter((row) => row.queue === query.queue)
        total = all.length
        rows = all.slice(query.offset, query.offset + query.limit)
      }
      const end = query.offset + rows.length
      return { ...none, rows, total, hasMore: end < total, next: end < total ? String(end) : null }
    },

    async retryQuarantined(id, overrides) {
      const entry = await log.quarantine.get(id)
      if (entry === null) throw new Refusal('QUARANTINE_NOT_FOUND')
      if (parts.phase() !== 'normal') throw new Refusal('MAINTENANCE')
      const decoded = decode(entry)
      const queue = overrides.queue ?? decoded?.queue
      const payload = overrides.payload ?? (decoded === null ? null : payloadOf(decoded))
      if (queue === undefined || payload === null) {
        throw new Refusal('INVALID_PAYLOAD', 'The record is damaged: give queue and payload to store it')
      }
      const item: PushItem = {
        queue,
        partition: overrides.partition ?? decoded?.partition ?? 'Default',
        transactionId: decoded?.transactionId ?? '',
        traceId: decoded?.traceId ?? null,
        producerSub: decoded?.producerSub ?? null,
        source: payload,
        payloadStart: 0,
        payloadEnd: payload.length,
        encrypted: false,
        generatedId: false,
        acceptedAtMicros: null,
        innocentBelow: 0,
        status: null,
        messageId: null,
        partitionId: null,
        code: null,
        error: null,
      }
      try {
        await parts.push(item)
      } catch (error) {
        if (error instanceof StoreError && error.transient) throw new Refusal('DATABASE_UNAVAILABLE')
        throw error
      }
      if (item.status === 'failed') {
        await log.quarantine.update(id, { attempts: entry.attempts + 1, error: item.error ?? entry.error })
        throw new Refusal('INVALID_PAYLOAD', `The record still cannot be stored: ${item.error}`)
      }
      // Buffered again (an outage began just now) is stored too: by the drain.
      await log.quarantine.remove(id)
      return item
    },

    async dropQuarantined(id) {
      if (!(await log.quarantine.remove(id))) throw new Refusal('QUARANTINE_NOT_FOUND')
    },
  }
}
