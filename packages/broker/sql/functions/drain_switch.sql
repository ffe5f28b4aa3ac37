-- The switch under the shared fence: what a statement that writes records may rely on until its transaction ends.
CREATE FUNCTION queen.drain_switch() RETURNS jsonb
LANGUAGE plpgsql
SET search_path = ''
AS $$
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock_shared(queen.fence_key());
  RETURN (SELECT s.value FROM queen.system_state s WHERE s.key = 'maintenance_mode');
END
$$;
