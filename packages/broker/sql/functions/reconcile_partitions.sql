-- What a group may find in a queue: one page of partitions in name order, each with what there is to deliver or when
-- there will be. A hint only: pop_messages decides.
--
-- Partitions without anything to deliver yield no row, so the last name looked at is returned in a row of its own
-- (partition_id NULL; name NULL = this was the last page).
CREATE FUNCTION queen.reconcile_partitions(
  p_queue uuid, p_group text, p_after text, p_limit int, p_window_ms bigint, p_start_mode text, p_start_at timestamptz
) RETURNS TABLE (partition_id uuid, name text, state text, wake_ms bigint, position_at bigint, next_offset bigint)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
DECLARE
  v_now constant timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY
  WITH page AS MATERIALIZED (
    SELECT p.id, p.name, p.next_offset, p.start_offset, p.last_pushed_at FROM queen.partitions p
     WHERE p.queue_id = p_queue AND p.name > p_after
     ORDER BY p.name LIMIT p_limit
  ), seen AS MATERIALIZED (
    SELECT g.*, greatest(k.committed, g.start_offset) AS position_at, k.acked, k.lease_until, k.paused_until,
           k.partition_id IS NULL AS fresh
      FROM page g
      LEFT JOIN LATERAL (
        SELECT k.* FROM queen.cursors k WHERE k.partition_id = g.id AND k.group_name = p_group OFFSET 0) k ON true
  )
  SELECT s.id, NULL::text,
         CASE WHEN s.lease_until > v_now THEN 'leased' WHEN s.paused_until > v_now THEN 'paused'
              WHEN p_window_ms > 0 AND s.last_pushed_at > v_now - p_window_ms * interval '1 millisecond' THEN 'window'
              ELSE 'open' END,
         CASE WHEN s.lease_until > v_now THEN (extract(epoch FROM s.lease_until - v_now) * 1000)::bigint + 1
              WHEN s.paused_until > v_now THEN (extract(epoch FROM s.paused_until - v_now) * 1000)::bigint + 1
              WHEN p_window_ms > 0 AND s.last_pushed_at > v_now - p_window_ms * interval '1 millisecond'
              THEN (extract(epoch FROM s.last_pushed_at - v_now) * 1000)::bigint + p_window_ms + 1 END,
         CASE WHEN s.fresh THEN NULL ELSE s.position_at END, s.next_offset
    FROM seen s
   WHERE s.next_offset > s.position_at
     AND (s.fresh IS FALSE OR p_start_mode = 'all' OR s.last_pushed_at >= p_start_at)
     AND (s.fresh OR s.acked = '{}' OR NOT int8range(s.position_at, s.next_offset) <@ s.acked)
  UNION ALL
  SELECT NULL, CASE WHEN count(*) = p_limit THEN max(g.name) END, 'page', NULL, NULL, NULL FROM page g;
END
$$;

-- Moves a group past offsets that have no message any more (removed while the group was behind), to the next
-- message or to the end. Where the cursor stands now; NULL when it cannot be moved now.
CREATE FUNCTION queen.skip_hole(p_partition uuid, p_group text) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
  v_position bigint;
  v_next     bigint;
  v_to       bigint;
BEGIN
  SELECT k.committed INTO v_position FROM queen.cursors k
   WHERE k.partition_id = p_partition AND k.group_name = p_group
     AND (k.lease_until IS NULL OR k.lease_until <= clock_timestamp()) FOR UPDATE;
  -- Under the partition's lock no segment can be on its way into the hole.
  SELECT p.next_offset INTO v_next FROM queen.partitions p WHERE p.id = p_partition FOR SHARE;
  IF v_position IS NULL OR v_next IS NULL OR v_next <= v_position
    OR EXISTS (SELECT FROM queen.segments s WHERE s.partition_id = p_partition AND s.first_offset <= v_position
                  AND s.last_offset >= v_position ORDER BY s.first_offset DESC LIMIT 1) THEN
    RETURN NULL;
  END IF;
  SELECT s.first_offset INTO v_to FROM queen.segments s
   WHERE s.partition_id = p_partition AND s.first_offset > v_position ORDER BY s.first_offset LIMIT 1;
  v_to := coalesce(v_to, v_next);
  UPDATE queen.cursors k
     SET committed = v_to, acked = k.acked * int8multirange(int8range(v_to, NULL)),
         failures = queen.unfinished_failures(k.failures, v_to, k.acked)
   WHERE k.partition_id = p_partition AND k.group_name = p_group;
  RETURN v_to;
END
$$;
