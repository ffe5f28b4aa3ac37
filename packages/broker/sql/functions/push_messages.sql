-- Stores one flush: for each place (a partition and the messages one flush brings for it) a segment, or a verdict why not.
--
-- Fence first (G5): under the shared lock the switch is read, so a flush either ends before maintenance is declared
-- safe or writes nothing. Then the partitions are locked in id order, duplicates are looked for under those locks, and
-- only then offsets are allocated: a duplicate writes nothing, commit order is offset order, and created_at is taken
-- inside the lock.
--
-- What the caller already knows saves the probe: it holds the keys of every message of the partition in
-- [known_from, known_to), and it found none of the new keys there (or names the places where one may be: suspects).
-- So only segments outside that range are probed, and suspects verified. The caller's knowledge can narrow the probe,
-- never change the verdict: the range is checked against next_offset under the lock.
--
-- Result rows, by kind:
--   diverted   maintenance is on; nothing was written
--   progress   drain: buffer_progress (number) is already past p_drained_from; nothing was written
--   stored     place, number = first offset, at = created_at
--   gone       place: the partition does not exist any more
--   unsure     place: nothing was written for it (atomic: for any place). Either duplicates or an innocent suspect were
--              found, or, when number is set, the gap is too large to be probed here
--   duplicate  place, item = index in the place, text_value = id_base of the segment of the first message, number = its index there
--   suspect    place, item = ordinal of the suspect that is confirmed; number, text_value as for duplicate
--   innocent   place, item = ordinal of a suspect entry that is not confirmed
--   gap        place, number = first_offset, at = created_at, data = keys: what the caller did not know
--   version    number = config_version
CREATE FUNCTION queen.push_messages(
  p_partitions      uuid[],
  p_counts          int[],
  p_id_bases        uuid[],
  -- End positions in p_blob, two a place: of its body, then of its keys.
  p_ends            int[],
  p_blob            bytea,
  -- Seconds; 0 = this place is not deduplicated.
  p_windows         int[],
  p_known_from      bigint[],
  p_known_to        bigint[],
  p_suspect_places  int[],
  p_suspect_offsets bigint[],
  p_suspect_keys    bytea,
  -- Drain only: 8 bytes a message over all places, and 8 bytes a suspect: when the file buffer accepted it.
  p_accepted        bytea,
  p_suspect_accepted bytea,
  p_atomic          boolean,
  p_buffer_id       text,
  p_drained_from    bigint,
  p_drained_through bigint
) RETURNS TABLE (kind text, place int, item int, number bigint, at timestamptz, text_value text, data bytea)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
  v_enabled  boolean;
  v_version  bigint;
  v_now      timestamptz;
  v_next     bigint[];
  v_progress bigint;
  v_skip     int[] := '{}';
  v_place    int;
  r          record;
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock_shared(queen.fence_key());
  SELECT pg_catalog.bool_or(s.key = 'maintenance_mode' AND (s.value ->> 'enabled')::boolean),
         pg_catalog.max(CASE WHEN s.key = 'config_version' THEN (s.value ->> 'version')::bigint END)
    INTO v_enabled, v_version
    FROM queen.system_state s WHERE s.key IN ('maintenance_mode', 'config_version');
  IF v_enabled THEN
    RETURN QUERY SELECT 'diverted', NULL::int, NULL::int, NULL::bigint, NULL::timestamptz, NULL::text, NULL::bytea;
    RETURN;
  END IF;

  IF p_buffer_id IS NOT NULL THEN
    INSERT INTO queen.buffer_progress (buffer_id, drained_through) VALUES (p_buffer_id, 0) ON CONFLICT DO NOTHING;
    SELECT b.drained_through INTO v_progress FROM queen.buffer_progress b WHERE b.buffer_id = p_buffer_id FOR UPDATE;
    IF v_progress >= p_drained_from THEN
      RETURN QUERY SELECT 'progress', NULL::int, NULL::int, v_progress, NULL::timestamptz, NULL::text, NULL::bytea;
      RETURN;
    END IF;
  END IF;

  -- The caller sends the partitions in id order, so the locks are taken in that order on every instance.
  SELECT pg_catalog.array_agg(l.next_offset ORDER BY l.ordinal) INTO v_next FROM (
    SELECT i.ordinal, (SELECT p.next_offset FROM queen.partitions p WHERE p.id = i.id FOR UPDATE) AS next_offset
      FROM pg_catalog.unnest(p_partitions) WITH ORDINALITY AS i (id, ordinal)
  ) l;
  v_now := pg_catalog.clock_timestamp();

  FOR v_place IN 1 .. pg_catalog.cardinality(p_partitions) LOOP
    IF v_next[v_place] IS NULL THEN
      v_skip := v_skip || v_place;
      RETURN QUERY SELECT 'gone', v_place - 1, NULL::int, NULL::bigint, NULL::timestamptz, NULL::text, NULL::bytea;
    ELSIF p_windows[v_place] > 0
      AND (v_next[v_place] <> p_known_to[v_place] OR p_known_from[v_place] > 0 OR v_place - 1 = ANY (p_suspect_places)) THEN
      FOR r IN SELECT d.* FROM queen.probe_duplicates(
        v_place, p_partitions[v_place], v_next[v_place], p_counts, p_ends, p_blob, p_windows[v_place],
        p_known_from[v_place], p_known_to[v_place], p_suspect_places, p_suspect_offsets, p_suspect_keys,
        p_accepted, p_suspect_accepted, v_now) d
      LOOP
        IF r.kind = 'unsure' THEN
          v_skip := v_skip || v_place;
        END IF;
        RETURN QUERY SELECT r.kind, r.place, r.item, r.number, r.at, r.text_value, r.data;
      END LOOP;
    END IF;
  END LOOP;

  IF p_atomic AND pg_catalog.cardinality(v_skip) > 0 THEN
    RETURN;
  END IF;

  WITH i AS MATERIALIZED (
    SELECT u.ordinal::int AS ordinal, u.id, u.n, u.id_base,
           CASE WHEN u.ordinal = 1 THEN 0 ELSE p_ends[2 * u.ordinal - 2] END AS body_start,
           p_ends[2 * u.ordinal - 1] AS body_end, p_ends[2 * u.ordinal] AS keys_end, v_next[u.ordinal] AS first_offset
      FROM pg_catalog.unnest(p_partitions, p_counts, p_id_bases) WITH ORDINALITY AS u (id, n, id_base, ordinal)
     -- A place whose items all proved duplicates has nothing to store.
     WHERE u.ordinal <> ALL (v_skip) AND u.n > 0
  ), s AS (
    INSERT INTO queen.segments (partition_id, first_offset, last_offset, created_at, id_base, body, keys, accepted)
    SELECT i.id, i.first_offset, i.first_offset + i.n - 1, v_now, i.id_base,
           pg_catalog.substring(p_blob, i.body_start + 1, i.body_end - i.body_start),
           pg_catalog.substring(p_blob, i.body_end + 1, i.keys_end - i.body_end),
           CASE WHEN p_accepted IS NOT NULL THEN pg_catalog.substring(
             p_accepted,
             (SELECT 8 * coalesce(pg_catalog.sum(c.n), 0) FROM pg_catalog.unnest(p_counts[: i.ordinal - 1]) AS c (n))::int + 1,
             8 * i.n) END
      FROM i
  )
  UPDATE queen.partitions p SET next_offset = i.first_offset + i.n, last_pushed_at = v_now FROM i WHERE p.id = i.id;

  IF p_buffer_id IS NOT NULL THEN
    UPDATE queen.buffer_progress b SET drained_through = p_drained_through, updated_at = v_now
     WHERE b.buffer_id = p_buffer_id;
  END IF;

  RETURN QUERY
    SELECT 'stored', u.ordinal::int - 1, NULL::int, u.first_offset, v_now, NULL::text, NULL::bytea
      FROM pg_catalog.unnest(v_next) WITH ORDINALITY AS u (first_offset, ordinal)
     WHERE u.ordinal <> ALL (v_skip);
  RETURN QUERY SELECT 'version', NULL::int, NULL::int, v_version, NULL::timestamptz, NULL::text, NULL::bytea;
END
$$;
