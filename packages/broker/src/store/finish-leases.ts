/**
 * Ends leases of which everything was completed: what most consumers do with most batches.
 *
 * Invariants: a lease is ended only if it is live by the clock (G6) and still holds exactly the messages the caller
 * means, all of them unanswered (G7); what a repeated ack needs to be told what became of the first stays in the row.
 * What does not come back was not touched, for whatever reason: ack_messages finds out which.
 *
 * Rows are locked in the order given, so callers sort by cursor, as all acks do.
 */
import type { LeaseFinish } from '../ports/consume-store.ts'
import type { Sql } from './sql.ts'

// Of one range nothing is left below its end: committed moves there, and acked was empty and stays so.
const STATEMENT = `
UPDATE queen.cursors k
   SET committed = f.leased_to, lease_until = NULL,
       completed_count = k.completed_count + f.leased_to - f.position_at, last_consumed_at = clock_timestamp()
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
       WITH ORDINALITY AS f (partition_id, group_name, lease, position_at, leased_to, n)
 WHERE k.partition_id = f.partition_id AND k.group_name = f.group_name
   AND k.lease_id = f.lease AND k.lease_until > clock_timestamp() AND k.committed = f.position_at
   AND k.leased = int8multirange(int8range(f.position_at, f.leased_to))
   AND k.acked = '{}' AND k.released = '{}' AND k.failures = '{}'
RETURNING f.n::int AS n`

/** Which leases were ended, in order. No two may mean the same cursor. @throws StoreError */
export async function finishLeases(sql: Sql, finishes: readonly LeaseFinish[]): Promise<boolean[]> {
  const order = finishes.map((_, index) => index).sort((a, b) => compareCursors(finishes[a]!, finishes[b]!))
  const column = (read: (finish: LeaseFinish) => string | number): string =>
    `{${order.map((index) => read(finishes[index]!)).join()}}`
  const rows = await sql.run<{ n: number }>('finish_leases', STATEMENT, [
    column((finish) => finish.partitionId),
    order.map((index) => finishes[index]!.group),
    // Ours, as the lease book knows it, so it needs no quoting.
    column((finish) => finish.leaseId),
    column((finish) => finish.position),
    column((finish) => finish.leasedTo),
  ])
  const ended = new Array<boolean>(finishes.length).fill(false)
  for (const { n } of rows) ended[order[n - 1]!] = true
  return ended
}

function compareCursors(a: LeaseFinish, b: LeaseFinish): number {
  if (a.partitionId !== b.partitionId) return a.partitionId < b.partitionId ? -1 : 1
  return a.group === b.group ? 0 : a.group < b.group ? -1 : 1
}
