-- Tells every instance that a queue was created, changed or deleted: hot statements return the version, and the
-- notification arrives when the change commits. Changes of configuration are rare, so a NOTIFY inside them is cheap.
CREATE FUNCTION queen.raise_config_version() RETURNS bigint
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
  v_version bigint;
BEGIN
  UPDATE queen.system_state s
     SET value = pg_catalog.jsonb_build_object('version', (s.value ->> 'version')::bigint + 1),
         updated_at = pg_catalog.clock_timestamp()
   WHERE s.key = 'config_version'
  RETURNING (s.value ->> 'version')::bigint INTO v_version;
  PERFORM pg_catalog.pg_notify('queen_config', v_version::text);
  RETURN v_version;
END
$$;
