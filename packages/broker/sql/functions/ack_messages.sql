-- Applies acks, each entry the offsets of one (partition, group) that were answered under one lease (or under none).
--
-- Entries come in (partition, group) order, so concurrent calls lock in one order. The lease is judged by the clock
-- read under the row lock (G6); only offsets the lease still holds are touched (G7). What is applied commits together.
-- Entries that only complete messages are applied by one statement; p_mixed marks the others (and any second entry
-- of the same cursor), which queen.ack_entry takes one by one.
--
-- One row an entry. When clean, everything asked was applied. Otherwise the sets before the change are returned and
-- the caller explains each message from them.
CREATE FUNCTION queen.ack_messages(
  p_partition   uuid[],
  p_group       text[],
  -- NULL = whatever lease is live.
  p_lease       text[],
  p_completed   int8multirange[],
  -- How many offsets p_completed holds.
  p_count       bigint[],
  p_mixed       boolean[],
  p_failed      int8multirange[],
  p_retry       int8multirange[],
  p_dead        int8multirange[],
  p_retry_limit int[],
  p_retry_delay_ms bigint[],
  -- What may have to be dead-lettered: entry (from 1), offset and the rest of the row.
  p_dead_entry  int[],
  p_dead_offset bigint[],
  p_dead_queue  uuid[],
  p_dead_message uuid[],
  p_dead_transaction text[],
  p_dead_frame  bytea[],
  p_dead_error  text[],
  p_dead_created timestamptz[]
) RETURNS TABLE (
  ordinal int, state text, ended boolean, committed bigint, dead text,
  before_committed bigint, before_acked text, before_leased text, before_released text, before_failed text, dead_before text,
  gone_before text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  v_entry int;
BEGIN
  IF p_mixed IS NOT NULL THEN
    PERFORM FROM unnest(p_partition, p_group) AS e (partition_id, group_name)
      CROSS JOIN LATERAL (SELECT FROM queen.cursors k
        WHERE k.partition_id = e.partition_id AND k.group_name = e.group_name FOR UPDATE) k;
  END IF;

  RETURN QUERY
  WITH locked AS MATERIALIZED (
    SELECT e.*, k.committed, k.acked, k.leased, k.released, k.released_failed, k.failures, k.lease_id,
           k.lease_until > clock_timestamp() AS live, k.committed IS NOT NULL AS found
      FROM unnest(p_partition, p_group, p_lease, p_completed, p_count, p_mixed)
           WITH ORDINALITY AS e (partition_id, group_name, lease, completed, count, mixed, ordinal)
      LEFT JOIN LATERAL (
        SELECT k.* FROM queen.cursors k
         WHERE k.partition_id = e.partition_id AND k.group_name = e.group_name FOR UPDATE) k ON true
     WHERE e.mixed IS NOT TRUE
  ), judged AS MATERIALIZED (
    SELECT l.*, coalesce(l.live AND (l.lease IS NULL OR l.lease = l.lease_id), false) AS holds,
           l.completed * l.leased * int8multirange(int8range(l.committed, NULL)) - l.released - l.acked AS applied
      FROM locked l
  ), moved AS MATERIALIZED (
    SELECT j.*, n.committed AS new_committed,
           (j.acked + j.applied) * int8multirange(int8range(n.committed, NULL)) AS new_acked,
           j.applied = j.completed AS clean
      FROM judged j
     CROSS JOIN LATERAL (
       SELECT lower(int8multirange(int8range(j.committed, NULL)) - j.acked - j.applied) AS committed OFFSET 0) n
     WHERE j.holds AND NOT isempty(j.applied)
  ), resolved AS MATERIALIZED (
    SELECT m.*, isempty(m.leased * int8multirange(int8range(m.new_committed, NULL)) - m.new_acked - m.released) AS ended
      FROM moved m
  ), updated AS (
    UPDATE queen.cursors k
       SET committed = r.new_committed,
           acked = r.new_acked,
           lease_until = CASE WHEN NOT r.ended THEN k.lease_until END,
           failures = CASE WHEN r.failures = '{}' THEN r.failures
                           ELSE queen.unfinished_failures(r.failures, r.new_committed, r.new_acked) END,
           completed_count = k.completed_count + CASE WHEN r.clean THEN r.count ELSE queen.offset_count(r.applied) END,
           last_consumed_at = clock_timestamp()
      FROM resolved r
     WHERE k.partition_id = r.partition_id AND k.group_name = r.group_name
    RETURNING r.ordinal, r.ended, r.clean, k.committed
  )
  SELECT j.ordinal::int,
         CASE WHEN NOT j.found
              THEN CASE WHEN EXISTS (SELECT FROM queen.partitions p WHERE p.id = j.partition_id) THEN 'none' ELSE 'gone' END
              WHEN c.clean THEN 'clean' WHEN j.holds THEN 'live'
              WHEN j.lease = j.lease_id AND j.live IS NULL THEN 'ended' WHEN j.live THEN 'other' ELSE 'dead' END,
         coalesce(c.ended, false), coalesce(c.new_committed, j.committed), NULL::text,
         CASE WHEN c.clean IS NOT TRUE THEN j.committed END, CASE WHEN c.clean IS NOT TRUE THEN j.acked::text END,
         CASE WHEN c.clean IS NOT TRUE THEN j.leased::text END, CASE WHEN c.clean IS NOT TRUE THEN j.released::text END,
         CASE WHEN c.clean IS NOT TRUE THEN j.released_failed::text END,
         CASE WHEN c.clean IS NOT TRUE AND j.found THEN queen.dead_offsets(j.partition_id, j.group_name, j.completed) END,
         CASE WHEN c.clean IS NOT TRUE AND j.found THEN queen.gone_offsets(j.partition_id, j.completed, j.leased) END
    FROM judged j
    LEFT JOIN LATERAL (SELECT r.ended, r.clean, r.new_committed FROM resolved r WHERE r.ordinal = j.ordinal) c ON true;

  IF p_mixed IS NOT NULL THEN
    FOR v_entry IN SELECT m.ordinal FROM unnest(p_mixed) WITH ORDINALITY AS m (mixed, ordinal) WHERE m.mixed ORDER BY m.ordinal LOOP
      RETURN QUERY SELECT v_entry, e.* FROM queen.ack_entry(
        v_entry, p_partition[v_entry], p_group[v_entry], p_lease[v_entry], p_completed[v_entry], p_failed[v_entry],
        p_retry[v_entry], p_dead[v_entry], p_retry_limit[v_entry], p_retry_delay_ms[v_entry], p_dead_entry, p_dead_offset,
        p_dead_queue, p_dead_message, p_dead_transaction, p_dead_frame, p_dead_error, p_dead_created) e;
    END LOOP;
  END IF;
END
$$;
