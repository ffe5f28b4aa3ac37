-- Looks for earlier messages with the transactionIds of one place of a flush, under the lock push_messages holds.
-- Judged by time of acceptance on both sides: a message counts as accepted when it was stored, or, if a file buffer
-- carried it, when that buffer took it. Rows: see push_messages.
--
-- The two ranges the caller knows nothing of, below p_known_from and from p_known_to on, are each cut to the window
-- first, and read once.
CREATE FUNCTION queen.probe_duplicates(
  p_place            int,
  p_partition        uuid,
  p_next             bigint,
  p_count            int,
  p_keys             bytea,
  p_window           int,
  p_known_from       bigint,
  p_known_to         bigint,
  -- Of this place alone; p_suspects_before = ordinal of its first.
  p_suspects_before  int,
  p_suspect_offsets  bigint[],
  p_suspect_keys     bytea,
  -- 8 bytes a message and a suspect of this place; NULL for live pushes.
  p_accepted         bytea,
  p_suspect_accepted bytea,
  -- The earliest of those times; NULL for live pushes.
  p_oldest_micros    bigint,
  p_now              timestamptz
) RETURNS TABLE (kind text, place int, item int, number bigint, at timestamptz, text_value text, data bytea)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
  -- A gap of more keys than this is not returned or probed in the flush: the caller reads it in pages and comes again.
  -- 65,536 keys are 1 MiB, a few milliseconds; larger only holds the partition's lock longer.
  c_gap_max constant bigint := 65536;
  c_pairs_max constant bigint := 256;
  v_window  constant interval := pg_catalog.make_interval(secs => p_window);
  v_oldest  timestamptz := p_now - v_window;
  -- Where the window begins in the range above and in the range below what is known; NULL = not in it.
  v_above   bigint;
  v_below   bigint;
  v_ordinals int[];
  v_indices bigint[];
  v_bases   uuid[];
  -- Equal keys: index of the new message, its segment, index there.
  v_items   int[];
  v_firsts  bigint[];
  v_places  int[];
  v_unsure  boolean := false;
BEGIN
  IF p_next < p_known_to THEN
    -- This database has seen less than the caller: it was restored. What the caller knows is of no use.
    RETURN QUERY SELECT 'unsure', p_place, NULL::int, p_next, NULL::timestamptz, NULL::text, NULL::bytea;
    RETURN;
  END IF;
  IF p_oldest_micros IS NOT NULL THEN
    v_oldest := least(v_oldest, 'epoch'::timestamptz + p_oldest_micros * interval '1 microsecond' - v_window);
  END IF;
  IF p_next > p_known_to THEN
    v_above := queen.window_start(p_partition, p_known_to, p_next, v_oldest);
    IF p_next - v_above > c_gap_max THEN
      RETURN QUERY SELECT 'unsure', p_place, NULL::int, p_next, NULL::timestamptz, NULL::text, NULL::bytea;
      RETURN;
    END IF;
  END IF;
  IF p_known_from > 0 AND p_count > 0 THEN
    v_below := queen.window_start(p_partition, 0, p_known_from, v_oldest);
  END IF;

  IF p_count > 0 AND (v_above IS NOT NULL OR v_below IS NOT NULL) THEN
    -- A few keys beside a few are compared each with each; setting up a hash join costs more than that.
    IF p_count * (coalesce(p_next - v_above, 0) + coalesce(p_known_from - v_below, 0)) <= c_pairs_max THEN
      SELECT pg_catalog.array_agg(n.i ORDER BY s.first_offset, g.i), pg_catalog.array_agg(s.first_offset ORDER BY s.first_offset, g.i),
             pg_catalog.array_agg(g.i ORDER BY s.first_offset, g.i)
        INTO v_items, v_firsts, v_places
        FROM queen.segments s
       CROSS JOIN LATERAL pg_catalog.generate_series(0, (s.last_offset - s.first_offset)::int) AS g (i)
       CROSS JOIN LATERAL pg_catalog.generate_series(0, p_count - 1) AS n (i)
       WHERE s.partition_id = p_partition AND s.first_offset >= least(v_above, v_below)
         AND (s.first_offset >= v_above OR s.first_offset < p_known_from)
         AND pg_catalog.substring(s.keys, 16 * g.i + 1, 16) = pg_catalog.substring(p_keys, 16 * n.i + 1, 16);
    ELSE
      SELECT pg_catalog.array_agg(m.item ORDER BY m.first_offset, m.i), pg_catalog.array_agg(m.first_offset ORDER BY m.first_offset, m.i),
             pg_catalog.array_agg(m.i ORDER BY m.first_offset, m.i)
        INTO v_items, v_firsts, v_places
        FROM queen.match_keys(p_partition, v_above, v_below, p_known_from, p_keys, p_count) m;
    END IF;
    IF v_items IS NOT NULL THEN
      RETURN QUERY
        SELECT 'duplicate', p_place, f.item, f.i::bigint, s.created_at, s.id_base::text, NULL::bytea
          FROM unnest(v_items, v_firsts, v_places) WITH ORDINALITY AS f (item, first_offset, i, ordinal)
         CROSS JOIN LATERAL (
           SELECT t.created_at, t.id_base, coalesce(queen.accepted_at(t.accepted, f.i), t.created_at) AS accepted_at
             FROM queen.segments t WHERE t.partition_id = p_partition AND t.first_offset = f.first_offset OFFSET 0
         ) s
         WHERE s.accepted_at BETWEEN coalesce(queen.accepted_at(p_accepted, f.item), p_now) - v_window
                                 AND coalesce(queen.accepted_at(p_accepted, f.item), p_now) + v_window
         ORDER BY f.ordinal;
      v_unsure := FOUND;
    END IF;
  END IF;

  IF pg_catalog.cardinality(p_suspect_offsets) > 0 THEN
    SELECT pg_catalog.array_agg(u.ordinal::int), pg_catalog.array_agg(u.suspect_offset - c.first_offset), pg_catalog.array_agg(c.id_base)
      INTO v_ordinals, v_indices, v_bases
      FROM pg_catalog.unnest(p_suspect_offsets) WITH ORDINALITY AS u (suspect_offset, ordinal)
     CROSS JOIN LATERAL (
       SELECT t.first_offset, t.last_offset, t.created_at, t.id_base, t.accepted,
              pg_catalog.substring(t.keys, 16 * (u.suspect_offset - t.first_offset)::int + 1, 16) AS key
         FROM queen.segments t
        WHERE t.partition_id = p_partition AND t.first_offset <= u.suspect_offset
        ORDER BY t.partition_id DESC, t.first_offset DESC LIMIT 1
     ) c
     WHERE c.last_offset >= u.suspect_offset
       AND c.key = pg_catalog.substring(p_suspect_keys, 16 * (u.ordinal::int - 1) + 1, 16)
       AND coalesce(queen.accepted_at(c.accepted, (u.suspect_offset - c.first_offset)::int), c.created_at)
           BETWEEN coalesce(queen.accepted_at(p_suspect_accepted, u.ordinal::int - 1), p_now) - v_window
               AND coalesce(queen.accepted_at(p_suspect_accepted, u.ordinal::int - 1), p_now) + v_window;
    RETURN QUERY
      SELECT 'suspect', p_place, p_suspects_before + u.ordinal - 1, u.i, NULL::timestamptz, u.id_base::text, NULL::bytea
        FROM unnest(v_ordinals, v_indices, v_bases) AS u (ordinal, i, id_base);
    -- A suspect has an entry for each place it may be at; with none confirmed it is innocent and has to be stored in its
    -- place among the others: the caller has to build this place anew.
    v_unsure := v_unsure OR EXISTS (
      SELECT pg_catalog.substring(p_suspect_keys, 16 * g.i + 1, 16)
        FROM pg_catalog.generate_series(0, pg_catalog.cardinality(p_suspect_offsets) - 1) AS g (i)
      EXCEPT
      SELECT pg_catalog.substring(p_suspect_keys, 16 * (u.ordinal - 1) + 1, 16) FROM pg_catalog.unnest(v_ordinals) AS u (ordinal)
    );
  END IF;

  IF v_unsure THEN
    RETURN QUERY SELECT 'unsure', p_place, NULL::int, NULL::bigint, NULL::timestamptz, NULL::text, NULL::bytea;
  END IF;
  IF v_above IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
    SELECT 'gap', p_place, NULL::int, s.first_offset, s.created_at, NULL::text, s.keys
      FROM queen.segments s
     WHERE s.partition_id = p_partition AND s.first_offset >= v_above
     ORDER BY s.partition_id, s.first_offset;
END
$$;
