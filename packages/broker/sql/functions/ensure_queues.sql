-- The queues of those names, each named once, created with default options where missing, in one commit. One that
-- somebody deletes meanwhile is left out.
--
-- Names are inserted in order, and the version is raised last, so that callers wait for each other instead of deadlocking.
CREATE FUNCTION queen.ensure_queues(p_names text[], p_namespaces text[], p_tasks text[])
RETURNS TABLE (id uuid, name text, namespace text, task text, options jsonb, created_at timestamptz)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO queen.queues (id, name, namespace, task)
  SELECT pg_catalog.gen_random_uuid(), n.name, n.namespace, n.task
    FROM unnest(p_names, p_namespaces, p_tasks) AS n (name, namespace, task)
   WHERE NOT EXISTS (SELECT 1 FROM queen.queues q WHERE q.name = n.name)
   ORDER BY n.name
  ON CONFLICT (name) DO NOTHING;
  IF FOUND THEN
    PERFORM queen.raise_config_version();
  END IF;
  RETURN QUERY
    SELECT q.id, q.name, q.namespace, q.task, q.options, q.created_at
      FROM queen.queues q WHERE q.name = ANY (p_names);
END
$$;
