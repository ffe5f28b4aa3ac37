-- The cursors that hold a lease now: by the partition its id names, or (p_partition NULL) by the shared id.
CREATE FUNCTION queen.live_cursors(p_lease text, p_partition uuid)
RETURNS TABLE (partition_id uuid, group_name text)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
  IF p_partition IS NULL THEN
    RETURN QUERY SELECT k.partition_id, k.group_name FROM queen.cursors k
      WHERE k.shared_lease_id = p_lease AND k.lease_id = p_lease AND k.lease_until > clock_timestamp();
  ELSE
    RETURN QUERY SELECT k.partition_id, k.group_name FROM queen.cursors k
      WHERE k.partition_id = p_partition AND k.lease_id = p_lease AND k.lease_until > clock_timestamp();
  END IF;
END
$$;

-- Extends what a lease still holds to at least p_seconds from now; never shortens. Rows are locked in one order.
-- One row: the earliest end (ms since 1970, and from now) and how many partitions; no partitions = the lease has ended.
CREATE FUNCTION queen.extend_lease(p_lease text, p_partition uuid, p_seconds int)
RETURNS TABLE (until_ms bigint, in_ms bigint, partitions int)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM (SELECT l.* FROM queen.live_cursors(p_lease, p_partition) l ORDER BY l.partition_id, l.group_name) l
    CROSS JOIN LATERAL (SELECT FROM queen.cursors k
      WHERE k.partition_id = l.partition_id AND k.group_name = l.group_name FOR UPDATE) k;
  RETURN QUERY
  WITH extended AS (
    UPDATE queen.cursors k
       SET lease_until = greatest(k.lease_until, clock_timestamp() + p_seconds * interval '1 second')
      FROM queen.live_cursors(p_lease, p_partition) l
     WHERE k.partition_id = l.partition_id AND k.group_name = l.group_name
       AND k.lease_id = p_lease AND k.lease_until > clock_timestamp()
    RETURNING k.lease_until
  )
  SELECT (extract(epoch FROM min(e.lease_until)) * 1000)::bigint,
         (extract(epoch FROM min(e.lease_until) - clock_timestamp()) * 1000)::bigint, count(*)::int FROM extended e;
END
$$;

-- The required leases that are live. What they hold is locked until the end of the transaction, so that they are live at
-- its commit; so are the cursors its acks mean (p_cursor_*), all in the one order of acks.
CREATE FUNCTION queen.hold_leases(p_leases text[], p_partitions uuid[], p_cursor_partitions uuid[], p_cursor_groups text[])
RETURNS SETOF text
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH locked AS MATERIALIZED (
    SELECT o.lease, k.lease_id, k.lease_until > clock_timestamp() AS live
      FROM (SELECT m.* FROM (
              SELECT l.partition_id, l.group_name, r.lease FROM unnest(p_leases, p_partitions) AS r (lease, id)
               CROSS JOIN LATERAL queen.live_cursors(r.lease, r.id) l
              UNION ALL
              SELECT c.partition_id, c.group_name, NULL
                FROM unnest(p_cursor_partitions, p_cursor_groups) AS c (partition_id, group_name)) m
             ORDER BY m.partition_id, m.group_name COLLATE "C") o
     CROSS JOIN LATERAL (SELECT k.lease_id, k.lease_until FROM queen.cursors k
       WHERE k.partition_id = o.partition_id AND k.group_name = o.group_name FOR UPDATE) k
  )
  SELECT DISTINCT h.lease FROM locked h WHERE h.lease = h.lease_id AND h.live;
END
$$;

-- Ends leases whose messages could not be delivered. They are available again at once and nothing is counted. Rows are
-- locked in the one order.
CREATE FUNCTION queen.release_claim(p_partition uuid[], p_group text, p_lease text) RETURNS void
LANGUAGE sql
AS $$
  WITH held AS MATERIALIZED (
    SELECT o.partition_id
      FROM (SELECT c.partition_id FROM unnest(p_partition) AS c (partition_id) ORDER BY c.partition_id) o
     CROSS JOIN LATERAL (
       SELECT FROM queen.cursors k
        WHERE k.partition_id = o.partition_id AND k.group_name = p_group AND k.lease_id = p_lease
          AND k.lease_until IS NOT NULL FOR UPDATE) k
  )
  UPDATE queen.cursors k
     SET lease_until = NULL, leased = '{}', batch_count = k.batch_count - 1
    FROM held h
   WHERE k.partition_id = h.partition_id AND k.group_name = p_group
$$;

-- After an outage of that length, which ended p_ended ago: leases that did not run out before it get the time of it back
-- that they lived through. One that has run out since stays run out, one that was resolved is left alone. They count as
-- leased anew at its end, so that several instances that saw the same outage credit it once. How many were credited. Rows
-- are locked in the one order.
CREATE FUNCTION queen.credit_leases(p_outage interval, p_ended interval) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
  v_ended constant timestamptz := clock_timestamp() - p_ended;
  v_count bigint;
BEGIN
  WITH held AS MATERIALIZED (
    SELECT k.partition_id, k.group_name FROM queen.cursors k
     WHERE k.lease_until > v_ended - p_outage AND k.leased_at < v_ended
     ORDER BY k.partition_id, k.group_name COLLATE "C" FOR UPDATE
  )
  UPDATE queen.cursors k
     SET lease_until = k.lease_until + (v_ended - greatest(v_ended - p_outage, k.leased_at)), leased_at = v_ended
    FROM held h
   WHERE k.partition_id = h.partition_id AND k.group_name = h.group_name;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END
$$;
