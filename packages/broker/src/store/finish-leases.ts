/**
 * Ends leases of which everything was completed, what most consumers do with most batches, and takes the next lease of
 * the same partition in the same row, where the caller wants one (engine/consume/leases-ahead.ts).
 *
 * Invariants: a lease is ended only if it is live by the clock (G6) and still holds exactly the messages the caller
 * means, all of them unanswered (G7); what a repeated ack needs to be told what became of the first stays in the row
 * until somebody has the next lease. A next lease is taken only together with the end of the one before: the row is
 * free for nobody in between, so what claims compare (claim-known.ts) is compared here too: nothing answered or failed
 * behind the old lease, nothing expired by retention.
 * What does not come back was not touched, for whatever reason: ack_messages finds out which.
 *
 * Rows are locked in the order given, so callers sort by cursor, as all acks do.
 */
import type { FinishOutcome, LeaseFinish } from '../ports/consume-store.ts'
import { compareCursors } from './lock-order.ts'
import type { Sql } from './sql.ts'

interface Row {
  n: number
  next_offset: string | null
  until_ms: number | null
}

// Of one range nothing is left below its end: committed moves there, and acked was empty and stays so.
const STATEMENT = `
UPDATE queen.cursors k
   SET committed = f.leased_to,
       lease_id = CASE WHEN f.follows THEN f.next_lease ELSE k.lease_id END,
       shared_lease_id = CASE WHEN f.follows THEN NULL ELSE k.shared_lease_id END,
       lease_until = CASE WHEN f.follows THEN clock_timestamp() + f.lease_ms * interval '1 millisecond' END,
       leased_at = CASE WHEN f.follows THEN clock_timestamp() ELSE k.leased_at END,
       leased = CASE WHEN f.follows THEN int8multirange(int8range(f.leased_to, f.next_to)) ELSE k.leased END,
       released_failed = CASE WHEN f.follows THEN '{}' ELSE k.released_failed END,
       batch_count = k.batch_count + f.follows::int,
       completed_count = k.completed_count + f.leased_to - f.position_at, last_consumed_at = clock_timestamp()
  FROM (
    SELECT i.*, p.next_offset, p.next_offset IS NOT NULL AS follows
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[])
           WITH ORDINALITY AS i (partition_id, group_name, lease, position_at, leased_to, next_lease, next_to, lease_ms, n)
      LEFT JOIN LATERAL (
        SELECT p.next_offset FROM queen.partitions p
         WHERE i.next_lease IS NOT NULL AND p.id = i.partition_id AND p.start_offset <= i.leased_to OFFSET 0) p ON true
    OFFSET 0) f
 WHERE k.partition_id = f.partition_id AND k.group_name = f.group_name
   AND k.lease_id = f.lease AND k.lease_until > clock_timestamp() AND k.committed = f.position_at
   AND k.leased = int8multirange(int8range(f.position_at, f.leased_to))
   AND k.acked = '{}' AND k.released = '{}' AND k.failures = '{}'
RETURNING f.n::int AS n, f.next_offset, date_part('epoch', k.lease_until) * 1000 AS until_ms`

/** Which leases were ended, in order. No two may mean the same cursor. @throws StoreError */
export async function finishLeases(sql: Sql, finishes: readonly LeaseFinish[]): Promise<(FinishOutcome | null)[]> {
  const order = finishes.map((_, index) => index).sort((a, b) => compareCursors(finishes[a]!, finishes[b]!))
  const column = (read: (finish: LeaseFinish) => string | number): string =>
    `{${order.map((index) => read(finishes[index]!)).join()}}`
  const rows = await sql.run<Row>('finish_leases', STATEMENT, [
    column((finish) => finish.partitionId),
    order.map((index) => finishes[index]!.group),
    // Ours, as the lease book knows it, so it needs no quoting.
    column((finish) => finish.leaseId),
    column((finish) => finish.position),
    column((finish) => finish.leasedTo),
    column(({ next }) => next?.leaseId ?? 'NULL'),
    column(({ next }) => next?.leasedTo ?? 'NULL'),
    column(({ next }) => next?.leaseMs ?? 'NULL'),
  ])
  const outcomes = new Array<FinishOutcome | null>(finishes.length).fill(null)
  for (const { n, next_offset, until_ms } of rows) {
    const taken = next_offset !== null && until_ms !== null
    outcomes[order[n - 1]!] = {
      next: taken ? { nextOffset: Number(next_offset), untilMs: Math.floor(until_ms) } : null,
    }
  }
  return outcomes
}
