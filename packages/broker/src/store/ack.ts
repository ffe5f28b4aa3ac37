/** The ack verb of the store: entries in, outcomes in the same order; one call of queen.ack_messages. */
import { countOffsets, formatOffsets, NO_OFFSETS, parseOffsets } from '../engine/format/offset-set.ts'
import type { AckEntry, AckEntryOutcome } from '../ports/consume-store.ts'
import { compareCursors } from './lock-order.ts'
import type { Sql } from './sql.ts'

interface Row {
  ordinal: number
  state: AckEntryOutcome['state']
  ended: boolean
  committed: string | null
  dead: string | null
  before_committed: string | null
  before_acked: string | null
  before_leased: string | null
  before_released: string | null
  before_failed: string | null
  dead_before: string | null
  gone_before: string | null
}

const STATEMENT =
  'SELECT * FROM queen.ack_messages($1::uuid[],$2::text[],$3::text[],$4::int8multirange[],$5::bigint[],$6::boolean[],$7::int8multirange[],$8::int8multirange[],$9::int8multirange[],$10::int[],$11::bigint[],$12::int[],$13::bigint[],$14::uuid[],$15::uuid[],$16::text[],$17::bytea[],$18::text[],$19::timestamptz[])'

/** @throws StoreError */
export async function ackMessages(sql: Sql, entries: readonly AckEntry[]): Promise<AckEntryOutcome[]> {
  // Cursor order is lock order on every instance. Sorting is stable: entries of one cursor keep their order.
  const order = entries.map((_, index) => index).sort((a, b) => compareCursors(entries[a]!, entries[b]!))
  const sorted = order.map((index) => entries[index]!)
  const mixed = sorted.map(
    (entry, place) =>
      entry.failed.length > 0 ||
      entry.retry.length > 0 ||
      entry.dead.length > 0 ||
      (place > 0 && compareCursors(sorted[place - 1]!, entry) === 0),
  )
  const anyMixed = mixed.includes(true)
  const dead = sorted.flatMap((entry, place) => entry.deadLetters.map((row) => ({ place: place + 1, row })))
  const column = <T>(read: (entry: AckEntry) => T): T[] => sorted.map(read)
  const deadColumn = <T>(read: (row: AckEntry['deadLetters'][number]) => T): T[] => dead.map(({ row }) => read(row))
  const rows = await sql.run<Row>('ack_messages', STATEMENT, [
    `{${column((e) => e.partitionId).join()}}`,
    column((e) => e.group),
    column((e) => e.leaseId),
    column((e) => formatOffsets(e.completed)),
    `{${column((e) => countOffsets(e.completed)).join()}}`,
    anyMixed ? `{${mixed.join()}}` : null,
    anyMixed ? column((e) => formatOffsets(e.failed)) : null,
    anyMixed ? column((e) => formatOffsets(e.retry)) : null,
    anyMixed ? column((e) => formatOffsets(e.dead)) : null,
    anyMixed ? `{${column((e) => e.retryLimit).join()}}` : null,
    anyMixed ? `{${column((e) => e.retryDelayMs).join()}}` : null,
    anyMixed ? `{${dead.map(({ place }) => place).join()}}` : null,
    anyMixed ? `{${deadColumn((row) => row.offset).join()}}` : null,
    anyMixed ? deadColumn((row) => row.queueId) : null,
    anyMixed ? deadColumn((row) => row.messageId) : null,
    anyMixed ? deadColumn((row) => row.transactionId) : null,
    dead.length > 0 ? deadColumn((row) => row.frame) : null,
    anyMixed ? deadColumn((row) => row.error) : null,
    anyMixed ? deadColumn((row) => row.createdAt) : null,
  ])
  const outcomes: AckEntryOutcome[] = new Array(entries.length)
  for (const row of rows) {
    outcomes[order[row.ordinal - 1]!] = {
      state: row.state,
      ended: row.ended,
      committed: Number(row.committed ?? 0),
      dead: setOf(row.dead),
      before:
        row.before_committed === null
          ? null
          : {
              committed: Number(row.before_committed),
              acked: setOf(row.before_acked),
              leased: setOf(row.before_leased),
              released: setOf(row.before_released),
              releasedFailed: setOf(row.before_failed),
              dead: setOf(row.dead_before),
              gone: setOf(row.gone_before),
            },
    }
  }
  return outcomes
}

function setOf(text: string | null): readonly number[] {
  return text === null ? NO_OFFSETS : parseOffsets(text)
}
