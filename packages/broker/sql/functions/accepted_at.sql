-- The index-th time in a column `accepted`: 8 bytes each, big-endian microseconds since 1970. NULL when there is none.
CREATE FUNCTION queen.accepted_at(p_accepted bytea, p_index int) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT
AS $$
  SELECT 'epoch'::timestamptz
       + ('x' || pg_catalog.encode(pg_catalog.substring(p_accepted, 8 * p_index + 1, 8), 'hex'))::bit(64)::bigint * interval '1 microsecond'
$$;
