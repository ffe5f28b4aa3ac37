/** Traces: what consumers record about a message on its way, by message and by name. */
import { randomUUID } from 'node:crypto'
import { isUuid } from '@queen/protocol'
import type { Cipher } from '../../ports/cipher.ts'
import type { Log } from '../../ports/log.ts'
import type { MessageStore } from '../../ports/message-store.ts'
import type { NamedTrace, StoredTrace, TraceStore } from '../../ports/trace-store.ts'
import { openPayload, viewFrame } from '../format/frame-view.ts'
import { decodeSegment } from '../format/segment-body.ts'
import { isStoreTimestamp, nextOf, readToken } from '../list-token.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import { locateMessage } from './message-detail.ts'

export interface TraceRequest {
  readonly transactionId: string
  readonly partitionId: string
  /** JSON text. */
  readonly data: string
  readonly consumerGroup: string
  readonly names: readonly string[]
  readonly eventType: string
  readonly workerId: string | null
}

export interface TraceQuery {
  readonly from: string | null
  readonly to: string | null
  readonly limit: number
  readonly offset: number
  readonly after: string | null
}

export interface TraceParts {
  readonly store: TraceStore
  readonly messages: MessageStore
  readonly cipher: Cipher | null
  readonly log: Log
}

const TRACES_MAX = 1_000
const ANSWER_BYTES_MAX = 32 * 1024 * 1024
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024

export function createTraces(parts: TraceParts) {
  const { store, messages } = parts
  return {
    /** The record's id. @throws Refusal MESSAGE_NOT_FOUND */
    async recordTrace(request: TraceRequest): Promise<string> {
      const { place, offset } = await locateMessage(messages, request.partitionId, request.transactionId)
      const id = randomUUID()
      const recorded = await answering(() =>
        store.recordTrace({
          id,
          partitionId: place.id,
          offset,
          transactionId: request.transactionId,
          group: request.consumerGroup,
          eventType: request.eventType,
          data: request.data,
          names: [...new Set(request.names)],
          workerId: request.workerId,
        }),
      )
      if (!recorded) throw new Refusal('MESSAGE_NOT_FOUND')
      return id
    },

    async readTraces(partitionId: string, transactionId: string): Promise<StoredTrace[]> {
      if (!isUuid(partitionId.toLowerCase())) return []
      return answering(() => store.readTraces(partitionId.toLowerCase(), transactionId, TRACES_MAX, ANSWER_BYTES_MAX))
    },

    async tracesByName(name: string, query: TraceQuery) {
      const { limit, offset, from, to } = query
      const token =
        query.after === null
          ? null
          : readToken(query.after, 2, ([at = '', id = '']) => isStoreTimestamp(at) && isUuid(id))
      const after = token === null ? null : { createdAt: token[0]!, id: token[1]! }
      const found = await answering(() =>
        store.tracesByName({ name, from, to, after, offset, limit, bytesMax: ANSWER_BYTES_MAX }),
      )
      const payloads = await payloadsOf(parts, found.traces)
      return {
        traces: found.traces.map((trace) => ({ ...trace, payload: payloads.get(keyOf(trace)) ?? null })),
        total: found.total,
        limit,
        offset,
        hasMore: found.hasMore,
        next: nextOf(found.traces, found.hasMore, ({ position }) => [position.createdAt, position.id]),
      }
    },

    async traceNames(search: string | null, query: { limit: number; offset: number; after: string | null }) {
      const { limit, offset } = query
      const token = query.after === null ? null : readToken(query.after, 2, ([at = '']) => isStoreTimestamp(at))
      const after = token === null ? null : { lastSeen: token[0]!, name: token[1]! }
      const { names, total } = await answering(() => store.traceNames({ search, after, offset, limit }))
      const rows = names.slice(0, limit)
      const hasMore = names.length > limit
      return {
        rows: rows.map((row) => ({
          trace_name: row.name,
          trace_count: row.traces,
          message_count: row.messages,
          last_seen: row.lastSeen,
        })),
        total,
        limit,
        offset,
        hasMore,
        next: nextOf(rows, hasMore, ({ position }) => [position.lastSeen, position.name]),
      }
    },
  }
}

const keyOf = (trace: { partitionId: string; offset: number }): string => `${trace.partitionId} ${trace.offset}`

/** Payloads of the messages that are still stored, as long as they fit into the answer. */
async function payloadsOf(
  { messages, cipher, log }: TraceParts,
  traces: readonly NamedTrace[],
): Promise<Map<string, Buffer>> {
  const payloads = new Map<string, Buffer>()
  let bytesLeft = PAYLOAD_BYTES_MAX
  for (const trace of traces) {
    const key = keyOf(trace)
    if (payloads.has(key) || trace.queue === null || bytesLeft <= 0) continue
    const row = await answering(() => messages.readSegment(trace.partitionId, trace.offset))
    if (row === null) continue
    try {
      const segment = decodeSegment(row)
      const payload = openPayload(
        viewFrame(segment.frames, segment.starts[trace.offset - segment.firstOffset]!),
        cipher,
      )
      bytesLeft -= payload.length
      payloads.set(key, payload)
    } catch (error) {
      log.warn({ trace: trace.id, error: (error as Error).message }, 'the payload of a traced message cannot be read')
    }
  }
  return payloads
}
