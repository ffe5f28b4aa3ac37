-- How many partitions each queue has, and whether anything of it that is counted may have changed since a moment: rows
-- written by transactions that had not ended then. One pass over partitions and cursors, by their headers only.
--
-- Rows that are gone do not show: a queue whose number of partitions differs has changed too, and removed groups are
-- counted in system_state ('groups_removed').
CREATE FUNCTION queen.changed_queues(
  -- pg_snapshot_xmin of that moment; NULL = everything counts as changed.
  p_since xid8
) RETURNS TABLE (queue_id uuid, partitions bigint, changed boolean)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
  WITH since AS (
    SELECT coalesce(pg_catalog.age(p_since::xid), 2147483647) AS age
  ), touched AS (
    SELECT k.partition_id FROM queen.cursors k, since WHERE p_since IS NOT NULL AND pg_catalog.age(k.xmin) <= since.age
    UNION SELECT t.partition_id FROM queen.tombstones t, since WHERE pg_catalog.age(t.xmin) <= since.age
    UNION SELECT r.partition_id FROM queen.restored_messages r, since WHERE pg_catalog.age(r.xmin) <= since.age
  )
  SELECT p.queue_id, pg_catalog.count(*),
         pg_catalog.bool_or(pg_catalog.age(p.xmin) <= since.age OR t.partition_id IS NOT NULL)
    FROM since CROSS JOIN queen.partitions p LEFT JOIN touched t ON t.partition_id = p.id
   GROUP BY p.queue_id
$$;
