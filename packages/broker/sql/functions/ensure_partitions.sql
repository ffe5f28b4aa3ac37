-- The partitions of those names, created where missing. No row at all: the queue does not exist (any more).
--
-- The share lock on the queue makes a concurrent deletion wait, so no partition is left without its queue. Names are
-- inserted in order, so that two callers creating the same ones wait for each other instead of deadlocking.
CREATE FUNCTION queen.ensure_partitions(p_queue_id uuid, p_names text[])
RETURNS TABLE (id uuid, name text)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM queen.queues q WHERE q.id = p_queue_id FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  INSERT INTO queen.partitions (id, queue_id, name)
  SELECT pg_catalog.gen_random_uuid(), p_queue_id, n.name
    FROM (SELECT DISTINCT u.name FROM pg_catalog.unnest(p_names) AS u (name)) n
   WHERE NOT EXISTS (SELECT 1 FROM queen.partitions p WHERE p.queue_id = p_queue_id AND p.name = n.name)
   ORDER BY n.name
  ON CONFLICT (queue_id, name) DO NOTHING;
  RETURN QUERY
    SELECT p.id, p.name FROM queen.partitions p WHERE p.queue_id = p_queue_id AND p.name = ANY (p_names);
END
$$;
