-- Deletes a queue with everything that belongs to it; false when there was none. Its segments cannot be reached any
-- more from here on; they are purged afterwards (purge_segments).
--
-- A push holds the lock of each partition it writes to until it commits, so deleting the partitions waits for it; a
-- later one finds no partition.
CREATE FUNCTION queen.delete_queue(p_name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
  v_id         uuid;
  v_partitions uuid[];
  v_cursor_partitions uuid[];
  v_cursor_groups text[];
BEGIN
  DELETE FROM queen.queues q WHERE q.name = p_name RETURNING q.id INTO v_id;
  -- Also of a queue that is not here: all its messages may still lie in a file buffer, and would bring it to life.
  INSERT INTO queen.deleted_queues AS t (name, deleted_at) VALUES (p_name, pg_catalog.clock_timestamp())
  ON CONFLICT (name) DO UPDATE SET deleted_at = excluded.deleted_at;
  IF v_id IS NULL THEN
    DELETE FROM queen.consumer_groups g WHERE g.queue_name = p_name;
    RETURN false;
  END IF;
  -- Cursors before partitions, each in its order, as transactions lock them.
  SELECT pg_catalog.array_agg(l.partition_id), pg_catalog.array_agg(l.group_name) INTO v_cursor_partitions, v_cursor_groups
    FROM (SELECT c.partition_id, c.group_name FROM queen.partitions p JOIN queen.cursors c ON c.partition_id = p.id
           WHERE p.queue_id = v_id ORDER BY c.partition_id, c.group_name COLLATE "C" FOR UPDATE OF c) l;
  SELECT pg_catalog.array_agg(l.id) INTO v_partitions
    FROM (SELECT p.id FROM queen.partitions p WHERE p.queue_id = v_id ORDER BY p.id FOR UPDATE) l;
  -- Cursors before subscriptions too: whoever deletes a group has both.
  DELETE FROM queen.consumer_groups g WHERE g.queue_name = p_name;
  DELETE FROM queen.partitions p WHERE p.id = ANY (v_partitions);
  -- One that was made meanwhile may be held by somebody who waits for the partition: it goes when segments are purged.
  DELETE FROM queen.cursors c USING unnest(v_cursor_partitions, v_cursor_groups) AS l (partition_id, group_name)
   WHERE c.partition_id = l.partition_id AND c.group_name = l.group_name;
  DELETE FROM queen.dead_letters d WHERE d.queue_id = v_id;
  PERFORM queen.delete_traces(v_partitions, NULL);
  INSERT INTO queen.purges AS u (partition_id, before_offset)
  SELECT i.id, NULL FROM pg_catalog.unnest(v_partitions) AS i (id)
  ON CONFLICT (partition_id) DO UPDATE SET before_offset = NULL;
  PERFORM queen.raise_config_version();
  RETURN true;
END
$$;
