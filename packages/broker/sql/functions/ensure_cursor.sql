-- Offsets that a new cursor of the partition finds finished: messages deleted one by one, and those restored for other
-- groups only.
CREATE FUNCTION queen.finished_from_start(p_partition uuid) RETURNS int8multirange
LANGUAGE sql STABLE
AS $$
  SELECT coalesce((SELECT t.offsets FROM queen.tombstones t WHERE t.partition_id = p_partition), '{}')
       + coalesce((SELECT range_agg(int8range(r.message_offset, r.hidden_to))
                     FROM queen.restored_messages r WHERE r.partition_id = p_partition), '{}')
$$;

-- The advisory lock between statements that place a cursor by what is deleted in its partition (shared) and a deletion
-- that has to reach every cursor (exclusive): neither sees what the other has not committed. It is taken before any row is
-- locked. The number is arbitrary and must never change: instances of different versions have to meet in it.
CREATE FUNCTION queen.new_cursors_key() RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$ SELECT 5714301772361950002 $$;

-- Makes sure that a group has a cursor on a partition; a new one starts where the group's subscription says. False
-- when the partition does not exist.
CREATE FUNCTION queen.ensure_cursor(p_partition uuid, p_group text) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
  v_start    bigint;
  v_finished int8multirange;
BEGIN
  IF EXISTS (SELECT FROM queen.cursors k WHERE k.partition_id = p_partition AND k.group_name = p_group) THEN
    RETURN true;
  END IF;
  PERFORM pg_advisory_xact_lock_shared(queen.new_cursors_key());
  SELECT CASE WHEN c.mode IS NULL OR c.mode = 'all' THEN p.start_offset
              ELSE queen.offset_at(p.id, c.starts_at, c.mode = 'new') END INTO v_start
    FROM queen.partitions p
    LEFT JOIN queen.queues q ON q.id = p.queue_id
    LEFT JOIN queen.consumer_groups c ON c.queue_name = q.name AND c.group_name = p_group
   WHERE p.id = p_partition;
  IF v_start IS NULL THEN
    RETURN false;
  END IF;
  v_finished := queen.finished_from_start(p_partition);
  v_start := lower(int8multirange(int8range(v_start, NULL)) - v_finished);
  INSERT INTO queen.cursors (partition_id, group_name, committed, acked)
  VALUES (p_partition, p_group, v_start, v_finished * int8multirange(int8range(v_start, NULL)))
  ON CONFLICT DO NOTHING;
  RETURN true;
END
$$;

-- Where groups that read the queue and have no cursor on the partition will start there: those that are subscribed, and
-- p_queue_mode (NULL = it does not read the queue), which has no subscription and starts at the oldest message.
CREATE FUNCTION queen.unread_positions(p_queue uuid, p_partition uuid, p_start bigint, p_queue_mode text)
RETURNS TABLE (group_name text, position_at bigint)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT c.group_name, CASE WHEN c.mode = 'all' THEN p_start ELSE queen.offset_at(p_partition, c.starts_at, c.mode = 'new') END
      FROM queen.queues q JOIN queen.consumer_groups c ON c.queue_name = q.name
     WHERE q.id = p_queue
       AND NOT EXISTS (SELECT FROM queen.cursors k WHERE k.partition_id = p_partition AND k.group_name = c.group_name)
    UNION ALL
    SELECT p_queue_mode, p_start
     WHERE p_queue_mode IS NOT NULL
       AND NOT EXISTS (SELECT FROM queen.cursors k WHERE k.partition_id = p_partition AND k.group_name = p_queue_mode);
END
$$;
