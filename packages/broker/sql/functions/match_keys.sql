-- Which of p_keys are among the keys of the partition's segments from p_above on and in [p_below, p_below_end): item is
-- the index in p_keys, (first_offset, i) where the equal one lies. A hash join whatever the statistics say, so the cost
-- is the sum of both sides and not their product; the session's settings would make it a nested loop.
CREATE FUNCTION queen.match_keys(
  p_partition uuid,
  p_above     bigint,
  p_below     bigint,
  p_below_end bigint,
  p_keys      bytea,
  p_count     int
) RETURNS TABLE (item int, first_offset bigint, i int)
LANGUAGE plpgsql
SET search_path = ''
SET enable_hashjoin = on
SET enable_nestloop = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    WITH known AS MATERIALIZED (
      -- The keys are unpacked (|| brings them into memory) once a segment, not once a message.
      SELECT s.first_offset, g.i, pg_catalog.substring(u.keys, 16 * g.i + 1, 16) AS key
        FROM queen.segments s
       CROSS JOIN LATERAL (SELECT s.keys || ''::bytea AS keys OFFSET 0) u
       CROSS JOIN LATERAL pg_catalog.generate_series(0, (s.last_offset - s.first_offset)::int) AS g (i)
       WHERE s.partition_id = p_partition AND s.first_offset >= p_above
      UNION ALL
      SELECT s.first_offset, g.i, pg_catalog.substring(u.keys, 16 * g.i + 1, 16)
        FROM queen.segments s
       CROSS JOIN LATERAL (SELECT s.keys || ''::bytea AS keys OFFSET 0) u
       CROSS JOIN LATERAL pg_catalog.generate_series(0, (s.last_offset - s.first_offset)::int) AS g (i)
       WHERE s.partition_id = p_partition AND s.first_offset >= p_below AND s.first_offset < p_below_end
    )
    SELECT n.i, k.first_offset, k.i
      FROM known k
      JOIN (SELECT g.i, pg_catalog.substring(p_keys, 16 * g.i + 1, 16) AS key
              FROM pg_catalog.generate_series(0, p_count - 1) AS g (i)) n ON n.key = k.key;
END
$$;
