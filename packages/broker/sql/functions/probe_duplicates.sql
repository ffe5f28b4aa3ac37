-- Looks for earlier messages with the transactionIds of one place of a flush, under the lock push_messages holds.
-- Judged by time of acceptance on both sides: a message counts as accepted when it was stored, or, if a file buffer
-- carried it, when that buffer took it. Rows: see push_messages; 'unsure' comes first when the place must not be stored.
CREATE FUNCTION queen.probe_duplicates(
  p_place           int,
  p_partition       uuid,
  p_next            bigint,
  p_counts          int[],
  p_ends            int[],
  p_blob            bytea,
  p_window          int,
  p_known_from      bigint,
  p_known_to        bigint,
  p_suspect_places  int[],
  p_suspect_offsets bigint[],
  p_suspect_keys    bytea,
  p_accepted        bytea,
  p_suspect_accepted bytea,
  p_now             timestamptz
) RETURNS TABLE (kind text, place int, item int, number bigint, at timestamptz, text_value text, data bytea)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
  -- A gap of more keys than this is not returned or probed in the flush: the caller reads it in pages and comes again.
  -- 65,536 keys are 1 MiB, a few milliseconds; larger only holds the partition's lock longer.
  c_gap_max  constant bigint := 65536;
  v_window   constant interval := pg_catalog.make_interval(secs => p_window);
  v_count    constant int := p_counts[p_place];
  v_before   constant int := (SELECT coalesce(pg_catalog.sum(c.n), 0) FROM pg_catalog.unnest(p_counts[: p_place - 1]) AS c (n));
  v_oldest   timestamptz := p_now - v_window;
  v_keys     bytea[];
  v_gap      bigint;
  v_unsure   boolean := false;
BEGIN
  IF p_accepted IS NOT NULL THEN
    SELECT pg_catalog.min(queen.accepted_at(p_accepted, v_before + g)) - v_window INTO v_oldest
      FROM pg_catalog.generate_series(0, v_count - 1) AS g;
    v_oldest := coalesce(least(v_oldest, p_now - v_window), p_now - v_window);
  END IF;

  SELECT coalesce(pg_catalog.sum(s.last_offset - s.first_offset + 1), 0) INTO v_gap
    FROM queen.segments s
   WHERE s.partition_id = p_partition AND s.first_offset >= p_known_to AND s.created_at >= v_oldest;
  IF v_gap > c_gap_max THEN
    RETURN QUERY SELECT 'unsure', p_place - 1, NULL::int, p_next, NULL::timestamptz, NULL::text, NULL::bytea;
    RETURN;
  END IF;

  v_keys := ARRAY(
    SELECT pg_catalog.substring(p_blob, p_ends[2 * p_place - 1] + 16 * g + 1, 16) FROM pg_catalog.generate_series(0, v_count - 1) AS g
  );
  RETURN QUERY
    SELECT 'duplicate', p_place - 1, n.ordinal::int - 1, k::bigint, s.created_at, s.id_base::text, NULL::bytea
      FROM queen.segments s
     CROSS JOIN LATERAL pg_catalog.generate_series(0, (s.last_offset - s.first_offset)::int) AS k
      JOIN pg_catalog.unnest(v_keys) WITH ORDINALITY AS n (key, ordinal) ON n.key = pg_catalog.substring(s.keys, 16 * k + 1, 16)
     WHERE s.partition_id = p_partition
       AND (s.first_offset >= p_known_to OR s.last_offset < p_known_from)
       AND s.created_at >= v_oldest
       AND coalesce(queen.accepted_at(s.accepted, k), s.created_at)
           BETWEEN coalesce(queen.accepted_at(p_accepted, v_before + n.ordinal::int - 1), p_now) - v_window
               AND coalesce(queen.accepted_at(p_accepted, v_before + n.ordinal::int - 1), p_now) + v_window;
  v_unsure := FOUND;

  IF p_place - 1 = ANY (p_suspect_places) THEN
    RETURN QUERY
      SELECT CASE WHEN s.id_base IS NULL THEN 'innocent' ELSE 'suspect' END, p_place - 1, u.ordinal::int - 1,
             u.suspect_offset - s.first_offset, s.created_at, s.id_base::text, NULL::bytea
        FROM pg_catalog.unnest(p_suspect_places, p_suspect_offsets) WITH ORDINALITY AS u (suspect_place, suspect_offset, ordinal)
        LEFT JOIN LATERAL (
          SELECT c.* FROM (
            SELECT t.id_base, t.first_offset, t.last_offset, t.created_at, t.keys, t.accepted FROM queen.segments t
             WHERE t.partition_id = p_partition AND t.first_offset <= u.suspect_offset
             ORDER BY t.first_offset DESC LIMIT 1
          ) c
           WHERE c.last_offset >= u.suspect_offset
             AND pg_catalog.substring(c.keys, 16 * (u.suspect_offset - c.first_offset)::int + 1, 16)
                 = pg_catalog.substring(p_suspect_keys, 16 * (u.ordinal::int - 1) + 1, 16)
             AND coalesce(queen.accepted_at(c.accepted, (u.suspect_offset - c.first_offset)::int), c.created_at)
                 BETWEEN coalesce(queen.accepted_at(p_suspect_accepted, u.ordinal::int - 1), p_now) - v_window
                     AND coalesce(queen.accepted_at(p_suspect_accepted, u.ordinal::int - 1), p_now) + v_window
        ) s ON true
       WHERE u.suspect_place = p_place - 1;
    -- A suspect has one row a candidate; it is innocent when none of them is confirmed, and then it must be stored in
    -- its place among the others: the caller has to build this place anew.
    v_unsure := v_unsure OR EXISTS (
      SELECT 1
        FROM pg_catalog.unnest(p_suspect_places, p_suspect_offsets) WITH ORDINALITY AS u (suspect_place, suspect_offset, ordinal)
       WHERE u.suspect_place = p_place - 1
       GROUP BY pg_catalog.substring(p_suspect_keys, 16 * (u.ordinal::int - 1) + 1, 16)
      HAVING NOT pg_catalog.bool_or(EXISTS (
        SELECT 1 FROM (
          SELECT t.first_offset, t.last_offset, t.created_at, t.keys, t.accepted FROM queen.segments t
           WHERE t.partition_id = p_partition AND t.first_offset <= u.suspect_offset
           ORDER BY t.first_offset DESC LIMIT 1
        ) c
         WHERE c.last_offset >= u.suspect_offset
           AND pg_catalog.substring(c.keys, 16 * (u.suspect_offset - c.first_offset)::int + 1, 16)
               = pg_catalog.substring(p_suspect_keys, 16 * (u.ordinal::int - 1) + 1, 16)
           AND coalesce(queen.accepted_at(c.accepted, (u.suspect_offset - c.first_offset)::int), c.created_at)
               BETWEEN coalesce(queen.accepted_at(p_suspect_accepted, u.ordinal::int - 1), p_now) - v_window
                   AND coalesce(queen.accepted_at(p_suspect_accepted, u.ordinal::int - 1), p_now) + v_window
      ))
    );
  END IF;

  IF v_unsure THEN
    RETURN QUERY SELECT 'unsure', p_place - 1, NULL::int, NULL::bigint, NULL::timestamptz, NULL::text, NULL::bytea;
  END IF;
  RETURN QUERY
    SELECT 'gap', p_place - 1, NULL::int, s.first_offset, s.created_at, NULL::text, s.keys
      FROM queen.segments s
     WHERE s.partition_id = p_partition AND s.first_offset >= p_known_to AND s.created_at >= v_oldest
     ORDER BY s.first_offset;
END
$$;
