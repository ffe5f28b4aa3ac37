-- Creates a queue or changes it. Options are stored sparsely: p_set are values that differ from their default,
-- p_unset the names that go back to it. p_replace starts from all defaults, namespace and task included.
-- p_namespace and p_task: null keeps the value ('' for a new queue).
CREATE FUNCTION queen.configure_queue(
  p_name      text,
  p_namespace text,
  p_task      text,
  p_set       jsonb,
  p_unset     text[],
  p_replace   boolean
) RETURNS TABLE (
  id uuid, name text, namespace text, task text, options jsonb, created_at timestamptz, created boolean, partition_id uuid,
  -- Of the configuration, this change included.
  version bigint
)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
  v_old     queen.queues;
  v_new     queen.queues;
  v_created boolean := false;
  v_version bigint;
BEGIN
  LOOP
    SELECT q.* INTO v_old FROM queen.queues q WHERE q.name = p_name FOR NO KEY UPDATE;
    EXIT WHEN FOUND;
    INSERT INTO queen.queues AS q (id, name, namespace, task)
    VALUES (pg_catalog.gen_random_uuid(), p_name, '', '')
    ON CONFLICT (name) DO NOTHING
    RETURNING q.* INTO v_old;
    IF FOUND THEN
      v_created := true;
      EXIT;
    END IF;
  END LOOP;
  UPDATE queen.queues q
     SET namespace = coalesce(p_namespace, CASE WHEN p_replace THEN '' ELSE q.namespace END),
         task = coalesce(p_task, CASE WHEN p_replace THEN '' ELSE q.task END),
         options = (CASE WHEN p_replace THEN '{}' ELSE q.options END || p_set) - p_unset
   WHERE q.id = v_old.id
  RETURNING q.* INTO v_new;
  IF v_created OR v_new IS DISTINCT FROM v_old THEN
    v_version := queen.raise_config_version();
  ELSE
    SELECT (s.value ->> 'version')::bigint INTO v_version FROM queen.system_state s WHERE s.key = 'config_version';
  END IF;
  RETURN QUERY
    SELECT v_new.id, v_new.name, v_new.namespace, v_new.task, v_new.options, v_new.created_at, v_created, p.id, v_version
      FROM queen.ensure_partitions(ARRAY[v_new.id], ARRAY['Default']) p;
END
$$;
