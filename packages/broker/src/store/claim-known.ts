/**
 * Claims of messages this instance already holds: it knows where the group stands and has the segments in memory, so
 * the claim reads no segment and judges nothing. It takes the lease only if the cursor is exactly as expected.
 *
 * Invariants: rows locked by others are skipped, never waited for, so one busy partition cannot hold up the rest of the
 * statement; a row that moved after the snapshot is judged anew by PostgreSQL before it is locked (G6). What does not
 * come back was not claimed, for whatever reason: the full claim (pop_messages) finds out which.
 *
 * Why it is enough to compare the cursor. Stored messages never change and offsets are never given twice, so cached
 * bytes are right for ever; what may have changed is who may read them, and each such change shows in what is compared:
 *
 *   claimed elsewhere               lease_until lies ahead, or committed moved (autoAck)
 *   lease of this instance ran out  lease_until is past and committed did not move: then the messages are due again
 *   acked in part, out of order     acked is not empty, or committed moved
 *   failed, retried                 failures or paused_until are set
 *   dead-lettered, evicted, deleted acked is not empty, or committed moved past it
 *   dead letter made available      committed went back
 *   seek                            committed moved, acked holds deleted messages; a lease it ended is free, rightly
 *   queue cleared                   committed moved to the end
 *   queue deleted (and made anew)   the cursor is gone; the new queue's partitions have other ids
 *   expired by retention            the partition's start_offset, compared too, lies above
 *   more stored than is known       a claim of less than was asked for is made only at the end of the partition
 *
 * A cursor that changed and came back to exactly the same values is the same cursor: nothing of it is remembered.
 */
import type { KnownClaim, KnownOutcome } from '../ports/consume-store.ts'
import type { Sql } from './sql.ts'

interface Row {
  n: number
  next_offset: string
  until_ms: number | null
}

const FOUND = `
  SELECT i.*, p.next_offset, clock_timestamp() AS at
    FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[], $6::text[], $7::bigint[])
         WITH ORDINALITY AS i (partition_id, group_name, position_at, leased_to, short, lease, lease_ms, n)
   CROSS JOIN LATERAL (
     SELECT FROM queen.cursors k
      WHERE k.partition_id = i.partition_id AND k.group_name = i.group_name
        AND k.committed = i.position_at AND k.acked = '{}' AND k.failures = '{}'
        AND (k.lease_until IS NULL OR k.lease_until <= clock_timestamp())
        AND (k.paused_until IS NULL OR k.paused_until <= clock_timestamp())
        FOR UPDATE SKIP LOCKED) k
   CROSS JOIN LATERAL (
     SELECT p.next_offset FROM queen.partitions p
      WHERE p.id = i.partition_id AND p.start_offset <= i.position_at
        AND (NOT i.short OR p.next_offset = i.leased_to) OFFSET 0) p`

// Losing the commit of a lease in a crash only means another delivery, so it need not wait for the disk.
const TAKE_LEASES = `
WITH found AS MATERIALIZED (${FOUND}
   WHERE (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
)
UPDATE queen.cursors k
   SET lease_id = f.lease, shared_lease_id = NULL, lease_until = f.at + f.lease_ms * interval '1 millisecond',
       leased_at = f.at, leased = int8multirange(int8range(f.position_at, f.leased_to)), released = '{}',
       released_failed = '{}', paused_until = NULL, batch_count = k.batch_count + 1, last_consumed_at = f.at
  FROM found f
 WHERE k.partition_id = f.partition_id AND k.group_name = f.group_name
RETURNING f.n::int AS n, f.next_offset, date_part('epoch', k.lease_until) * 1000 AS until_ms`

const TAKE_FINISHED = `
WITH found AS MATERIALIZED (${FOUND}
)
UPDATE queen.cursors k
   SET committed = f.leased_to, lease_id = NULL, shared_lease_id = NULL, lease_until = NULL, leased_at = f.at,
       leased = '{}', released = '{}', released_failed = '{}', paused_until = NULL,
       completed_count = k.completed_count + f.leased_to - f.position_at, batch_count = k.batch_count + 1,
       last_consumed_at = f.at
  FROM found f
 WHERE k.partition_id = f.partition_id AND k.group_name = f.group_name
RETURNING f.n::int AS n, f.next_offset, NULL::float8 AS until_ms`

/** Outcomes in order; null = not claimed. All claims are of one kind: under leases, or autoAck. @throws StoreError */
export async function claimKnown(sql: Sql, claims: readonly KnownClaim[]): Promise<(KnownOutcome | null)[]> {
  const autoAck = claims[0]?.leaseId === null
  const column = (read: (claim: KnownClaim) => string | number): string => `{${claims.map(read).join()}}`
  const rows = await sql.run<Row>(autoAck ? 'take_finished' : 'take_leases', autoAck ? TAKE_FINISHED : TAKE_LEASES, [
    // Ids, numbers and lease ids need no quoting: they hold no comma, brace, quote or space.
    column((claim) => claim.partitionId),
    claims.map((claim) => claim.group),
    column((claim) => claim.position),
    column((claim) => claim.leasedTo),
    column((claim) => `${claim.short}`),
    column((claim) => claim.leaseId ?? 'NULL'),
    column((claim) => claim.leaseMs),
  ])
  const outcomes: (KnownOutcome | null)[] = new Array(claims.length).fill(null)
  for (const { n, next_offset, until_ms } of rows) {
    outcomes[n - 1] = { nextOffset: Number(next_offset), untilMs: until_ms === null ? null : Math.floor(until_ms) }
  }
  return outcomes
}
