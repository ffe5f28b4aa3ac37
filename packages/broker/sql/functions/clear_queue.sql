-- Removes all messages and dead letters of a queue, or of one of its partitions (p_partition null = all). Partitions,
-- options and groups stay; every group's position moves behind what was removed. The segments are purged afterwards.
-- One row: what was removed, or queue_found / partition_found false.
CREATE FUNCTION queen.clear_queue(p_name text, p_partition text)
RETURNS TABLE (queue_found boolean, partition_found boolean, messages bigint, dead_letters bigint)
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
  v_id         uuid;
  v_partitions uuid[];
  v_cursor_partitions uuid[];
  v_cursor_groups text[];
  v_messages   bigint;
  v_dead       bigint;
BEGIN
  SELECT q.id INTO v_id FROM queen.queues q WHERE q.name = p_name FOR KEY SHARE;
  IF v_id IS NULL THEN
    RETURN QUERY SELECT false, false, 0::bigint, 0::bigint;
    RETURN;
  END IF;
  -- Cursors before partitions, each in id order, as transactions lock them.
  SELECT pg_catalog.array_agg(l.partition_id), pg_catalog.array_agg(l.group_name) INTO v_cursor_partitions, v_cursor_groups
    FROM (SELECT c.partition_id, c.group_name FROM queen.partitions p JOIN queen.cursors c ON c.partition_id = p.id
           WHERE p.queue_id = v_id AND (p_partition IS NULL OR p.name = p_partition)
           ORDER BY c.partition_id, c.group_name COLLATE "C" FOR UPDATE OF c) l;
  -- No push into these partitions from here to the commit.
  SELECT coalesce(pg_catalog.array_agg(l.id), '{}') INTO v_partitions
    FROM (SELECT p.id FROM queen.partitions p
           WHERE p.queue_id = v_id AND (p_partition IS NULL OR p.name = p_partition) ORDER BY p.id FOR UPDATE) l;
  IF p_partition IS NOT NULL AND pg_catalog.cardinality(v_partitions) = 0 THEN
    RETURN QUERY SELECT true, false, 0::bigint, 0::bigint;
    RETURN;
  END IF;

  SELECT coalesce(pg_catalog.sum(s.last_offset - greatest(s.first_offset, p.start_offset) + 1), 0)::bigint INTO v_messages
    FROM queen.partitions p JOIN queen.segments s ON s.partition_id = p.id AND s.last_offset >= p.start_offset
   WHERE p.id = ANY (v_partitions);
  -- Those that were deleted one by one before.
  SELECT v_messages - coalesce(pg_catalog.sum(
           queen.offset_count(t.offsets * pg_catalog.int8multirange(pg_catalog.int8range(p.start_offset, p.next_offset)))), 0)::bigint
    INTO v_messages
    FROM queen.partitions p JOIN queen.tombstones t ON t.partition_id = p.id WHERE p.id = ANY (v_partitions);
  INSERT INTO queen.purges AS u (partition_id, before_offset)
  SELECT p.id, p.next_offset FROM queen.partitions p WHERE p.id = ANY (v_partitions) AND p.next_offset > p.start_offset
  ON CONFLICT (partition_id) DO UPDATE SET before_offset = greatest(u.before_offset, excluded.before_offset);
  UPDATE queen.partitions p SET start_offset = p.next_offset
   WHERE p.id = ANY (v_partitions) AND p.start_offset < p.next_offset;
  -- Those that were made meanwhile stand before the new start, which counts. Somebody who waits for a partition may hold them.
  UPDATE queen.cursors c
     SET committed = p.next_offset, acked = '{}', failures = '{}', paused_until = NULL,
         lease_id = NULL, shared_lease_id = NULL, lease_until = NULL, leased_at = NULL,
         leased = '{}', released = '{}', released_failed = '{}'
    FROM unnest(v_cursor_partitions, v_cursor_groups) AS l (partition_id, group_name), queen.partitions p
   WHERE c.partition_id = l.partition_id AND c.group_name = l.group_name AND p.id = l.partition_id;
  PERFORM queen.delete_traces(v_partitions, NULL);
  WITH gone AS (DELETE FROM queen.dead_letters d WHERE d.partition_id = ANY (v_partitions) RETURNING 1)
  SELECT pg_catalog.count(*) INTO v_dead FROM gone;
  RETURN QUERY SELECT true, true, v_messages, v_dead;
END
$$;
