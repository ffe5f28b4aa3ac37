-- The partitions of those names, created where missing, in one commit: p_names[i] is one of p_queue_ids[i], each pair
-- once. Those of a queue that does not exist (any more) are left out.
--
-- The share locks on the queues make concurrent deletions wait, so no partition is left without its queue. Queues are
-- locked and names inserted in order, so that two callers creating the same ones wait for each other instead of deadlocking.
CREATE FUNCTION queen.ensure_partitions(p_queue_ids uuid[], p_names text[])
RETURNS TABLE (queue_id uuid, id uuid, name text)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM queen.queues q WHERE q.id = ANY (p_queue_ids) ORDER BY q.id FOR KEY SHARE;
  INSERT INTO queen.partitions (id, queue_id, name)
  SELECT pg_catalog.gen_random_uuid(), n.queue_id, n.name
    FROM unnest(p_queue_ids, p_names) AS n (queue_id, name)
    JOIN queen.queues q ON q.id = n.queue_id
   WHERE NOT EXISTS (SELECT 1 FROM queen.partitions p WHERE p.queue_id = n.queue_id AND p.name = n.name)
   ORDER BY n.queue_id, n.name
  ON CONFLICT (queue_id, name) DO NOTHING;
  RETURN QUERY
    SELECT p.queue_id, p.id, p.name
      FROM unnest(p_queue_ids, p_names) AS n (queue_id, name)
      JOIN queen.partitions p ON p.queue_id = n.queue_id AND p.name = n.name;
END
$$;
