/** The claim verb of the store: candidates in, outcomes in the same order; one call of queen.pop_messages. */
import { parseOffsets } from '../engine/format/offset-set.ts'
import type { SegmentRow } from '../engine/format/segment-body.ts'
import type { ClaimCandidate, ClaimOutcome, NotClaimed } from '../ports/consume-store.ts'
import type { Sql } from './sql.ts'

interface Row {
  ordinal: number
  state: 'claimed' | NotClaimed['state']
  position_at: string | null
  leased_to: string | null
  next_offset: string | null
  wake_ms: string | null
  until_ms: string | null
  leased_set: string | null
  failures: string | null
  first_offset: string | null
  last_offset: string | null
  created_at: string | null
  id_base: string | null
  body: Buffer | null
}

const STATEMENT =
  'SELECT * FROM queen.pop_messages($1::uuid[],$2::text[],$3::int[],$4::bigint[],$5::text[],$6::boolean[],$7::bigint[],$8::bigint[],$9::bigint[],$10::bigint[],$11::bigint[],$12::bigint,$13::boolean,$14::text[],$15::timestamptz[])'

/** @throws StoreError */
export async function popMessages(
  sql: Sql,
  candidates: readonly ClaimCandidate[],
  bytesMax: number,
): Promise<ClaimOutcome[]> {
  const starts = candidates.some((candidate) => candidate.start !== null)
  const column = <T>(read: (candidate: ClaimCandidate) => T): T[] => candidates.map(read)
  const rows = await sql.run<Row>('pop_messages', STATEMENT, [
    // Ids, numbers and lease ids need no quoting: they hold no comma, brace, quote or space.
    `{${column((c) => c.partitionId).join()}}`,
    column((c) => c.group),
    `{${column((c) => c.request).join()}}`,
    `{${column((c) => c.want).join()}}`,
    `{${column((c) => c.leaseId ?? 'NULL').join()}}`,
    `{${column((c) => c.shared).join()}}`,
    `{${column((c) => c.leaseMs).join()}}`,
    `{${column((c) => c.delayMs).join()}}`,
    `{${column((c) => c.windowMs).join()}}`,
    `{${column((c) => c.cachedFrom).join()}}`,
    `{${column((c) => c.cachedTo).join()}}`,
    bytesMax,
    candidates.some((c) => c.leaseId === null),
    starts ? column((c) => c.start?.mode ?? null) : null,
    starts ? column((c) => c.start?.at ?? null) : null,
  ])
  const outcomes: ClaimOutcome[] = new Array(candidates.length)
  const segments: SegmentRow[][] = new Array(candidates.length)
  for (const row of rows) {
    const index = row.ordinal - 1
    if (row.state !== 'claimed') {
      outcomes[index] = {
        state: row.state,
        position: row.position_at === null ? -1 : Number(row.position_at),
        nextOffset: row.next_offset === null ? -1 : Number(row.next_offset),
        wakeMs: row.wake_ms === null ? null : Number(row.wake_ms),
      }
      continue
    }
    segments[index] ??= []
    if (outcomes[index] === undefined) {
      outcomes[index] = {
        state: 'claimed',
        position: Number(row.position_at),
        leasedTo: Number(row.leased_to),
        leased: row.leased_set === null ? null : parseOffsets(row.leased_set),
        nextOffset: Number(row.next_offset),
        untilMs: row.until_ms === null ? null : Number(row.until_ms),
        failures: parseFailures(row.failures),
        segments: segments[index]!,
      }
    }
    if (row.first_offset !== null) {
      segments[index]!.push({
        partitionId: candidates[index]!.partitionId,
        firstOffset: Number(row.first_offset),
        lastOffset: Number(row.last_offset),
        createdAt: row.created_at!,
        idBase: row.id_base!,
        body: row.body!,
      })
    }
  }
  return outcomes
}

/** `{"12": 2}` by offset; null when there is none. */
export function parseFailures(text: string | null): Map<number, number> | null {
  if (text === null || text === '{}') return null
  return new Map(
    Object.entries(JSON.parse(text) as Record<string, number>).map(([offset, count]) => [Number(offset), count]),
  )
}
