-- The queue of that name, created with default options when it does not exist.
CREATE FUNCTION queen.ensure_queue(p_name text, p_namespace text, p_task text)
RETURNS TABLE (id uuid, name text, namespace text, task text, options jsonb, created_at timestamptz, created boolean)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
  -- Ends after the second round at the latest, unless somebody deletes the queue in between each time.
  LOOP
    RETURN QUERY SELECT q.id, q.name, q.namespace, q.task, q.options, q.created_at, false
      FROM queen.queues q WHERE q.name = p_name;
    IF FOUND THEN
      RETURN;
    END IF;
    RETURN QUERY
      INSERT INTO queen.queues AS q (id, name, namespace, task)
      VALUES (pg_catalog.gen_random_uuid(), p_name, p_namespace, p_task)
      ON CONFLICT (name) DO NOTHING
      RETURNING q.id, q.name, q.namespace, q.task, q.options, q.created_at, true;
    IF FOUND THEN
      PERFORM queen.raise_config_version();
      RETURN;
    END IF;
  END LOOP;
END
$$;
