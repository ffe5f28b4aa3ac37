-- Stores one flush: for each place (a partition and the messages one flush brings for it) a segment, or a verdict why not.
--
-- Fence first (G5): under the shared lock the switch is read, so a flush either ends before maintenance is declared
-- safe or writes nothing. While the cluster drains, live pushes write nothing either (G4). Then the partitions are locked
-- in id order, duplicates are looked for under those locks, and only then offsets are allocated: a duplicate writes
-- nothing, commit order is offset order, and created_at is taken inside the lock.
--
-- What the caller already knows saves the probe: it holds the keys of every message of the partition in
-- [known_from, known_to), and it found none of the new keys there (or names the places where one may be: suspects).
-- So only segments outside that range are probed, and suspects verified. The caller's knowledge can narrow the probe,
-- never change the verdict: the range is checked against next_offset under the lock.
--
-- Result rows, by kind:
--   diverted   maintenance is on, or the cluster drains and these are live pushes; nothing was written
--   progress   drain: buffer_progress (number) is not p_drained_after, or past p_drained_from, or the step before this one
--              is not stored as it was sent, or not where this one takes its keys to be; nothing was written
--   stored     place, number = first offset, at = created_at
--   gone       place: the partition does not exist any more
--   unsure     place: nothing was written for it (atomic: for any place). Either duplicates or an innocent suspect were
--              found, or, when number (next_offset) is set, the gap is too large to be probed here, or the caller claims
--              to know more than there is
--   duplicate  place, item = index in the place, text_value = id_base of the segment of an earlier message (oldest
--              first), number = its index there
--   suspect    place, item = ordinal of the suspect that is confirmed; number, text_value as for duplicate
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
  -- How many suspects the places up to each have; their offsets and keys lie in the order of the places.
  p_suspect_ends    int[],
  p_suspect_offsets bigint[],
  p_suspect_keys    bytea,
  -- Drain only: 8 bytes a message over all places, 8 bytes a suspect (when the file buffer accepted it, microseconds),
  -- and the earliest of these times for each place. Live pushes: NULL.
  p_accepted        bytea,
  p_suspect_accepted bytea,
  p_oldest          bigint[],
  p_atomic          boolean,
  p_buffer_id       text,
  -- What buffer_progress has to be before this step: further, this step is stored already; less far, this is another copy
  -- of the database, which lacks what was stored in the one before.
  p_drained_after   bigint,
  -- First and last record of this step. A caller may know that the first is stored, and have it still on its disk.
  p_drained_from    bigint,
  p_drained_through bigint,
  -- Partition and id_base of a segment of the step before, which was sent and not answered yet: this step is stored behind
  -- it or not at all. NULL = there is none.
  p_behind          uuid[],
  -- Partitions of which the caller knows the keys up to p_known_to only if that step is stored where it expects it.
  p_guessed         uuid[]
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
  -- created_at of each place: never before that of the partition's last segment, whatever the clock does.
  v_at       timestamptz[];
  v_progress bigint;
  v_skip     int[] := '{}';
  v_place    int;
  v_before   int := 0;
  v_keys     int;
  v_suspects int;
  r          record;
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock_shared(queen.fence_key());
  SELECT pg_catalog.bool_or(s.key = 'maintenance_mode' AND ((s.value ->> 'enabled')::boolean
           OR (p_accepted IS NULL AND p_buffer_id IS NULL AND (s.value -> 'draining') = 'true'::jsonb))),
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
    IF v_progress <> p_drained_after OR v_progress >= p_drained_from OR (p_behind IS NOT NULL AND p_behind[2] IS DISTINCT FROM (
         SELECT s.id_base FROM queen.segments s WHERE s.partition_id = p_behind[1] ORDER BY s.first_offset DESC LIMIT 1))
    THEN
      RETURN QUERY SELECT 'progress', NULL::int, NULL::int, v_progress, NULL::timestamptz, NULL::text, NULL::bytea;
      RETURN;
    END IF;
  END IF;

  -- The caller sends the partitions in id order, so the locks are taken in that order on every instance.
  SELECT pg_catalog.array_agg(l.next_offset ORDER BY l.ordinal),
         pg_catalog.array_agg(l.last_pushed_at ORDER BY l.ordinal)
    INTO v_next, v_at
    FROM (
      SELECT i.ordinal, p.next_offset, p.last_pushed_at
        FROM pg_catalog.unnest(p_partitions) WITH ORDINALITY AS i (id, ordinal)
        LEFT JOIN LATERAL (
          SELECT c.next_offset, c.last_pushed_at FROM queen.partitions c WHERE c.id = i.id FOR UPDATE
        ) p ON true
    ) l;
  v_now := pg_catalog.clock_timestamp();
  IF p_behind IS NOT NULL AND EXISTS (
       SELECT FROM unnest(p_partitions, v_next, p_known_to) AS i (id, next_offset, known_to)
        WHERE i.next_offset <> i.known_to AND i.id IN (SELECT g.id FROM unnest(p_guessed) AS g (id)))
  THEN
    -- Others have stored something before that step: the caller has not seen it and would not have it probed.
    RETURN QUERY SELECT 'progress', NULL::int, NULL::int, v_progress, NULL::timestamptz, NULL::text, NULL::bytea;
    RETURN;
  END IF;

  FOR v_place IN 1 .. pg_catalog.cardinality(p_partitions) LOOP
    v_at[v_place] := greatest(v_at[v_place], v_now);
    IF v_next[v_place] IS NULL THEN
      v_skip := v_skip || v_place;
      kind := 'gone';
      place := v_place - 1;
      RETURN NEXT;
    ELSIF p_windows[v_place] > 0 THEN
      v_suspects := CASE WHEN v_place = 1 THEN 0 ELSE p_suspect_ends[v_place - 1] END;
      IF v_next[v_place] <> p_known_to[v_place] OR p_known_from[v_place] > 0 OR p_suspect_ends[v_place] > v_suspects THEN
        v_keys := p_ends[2 * v_place - 1];
        FOR r IN SELECT d.* FROM queen.probe_duplicates(
          v_place - 1, p_partitions[v_place], v_next[v_place], p_counts[v_place],
          pg_catalog.substring(p_blob, v_keys + 1, p_ends[2 * v_place] - v_keys), p_windows[v_place],
          p_known_from[v_place], p_known_to[v_place],
          v_suspects, p_suspect_offsets[v_suspects + 1 : p_suspect_ends[v_place]],
          pg_catalog.substring(p_suspect_keys, 16 * v_suspects + 1, 16 * (p_suspect_ends[v_place] - v_suspects)),
          pg_catalog.substring(p_accepted, 8 * v_before + 1, 8 * p_counts[v_place]),
          pg_catalog.substring(p_suspect_accepted, 8 * v_suspects + 1, 8 * (p_suspect_ends[v_place] - v_suspects)),
          p_oldest[v_place], v_at[v_place]) d
        LOOP
          IF r.kind = 'unsure' THEN
            v_skip := v_skip || v_place;
          END IF;
          kind := r.kind;
          place := r.place;
          item := r.item;
          number := r.number;
          at := r.at;
          text_value := r.text_value;
          data := r.data;
          RETURN NEXT;
        END LOOP;
        item := NULL;
        number := NULL;
        at := NULL;
        text_value := NULL;
        data := NULL;
      END IF;
    END IF;
    v_before := v_before + p_counts[v_place];
  END LOOP;

  IF p_atomic AND pg_catalog.cardinality(v_skip) > 0 THEN
    RETURN;
  END IF;

  WITH i AS MATERIALIZED (
    SELECT u.ordinal::int AS ordinal, u.id, u.n, u.id_base, u.first_offset, u.at,
           (pg_catalog.sum(u.n) OVER (ORDER BY u.ordinal) - u.n)::int AS before,
           CASE WHEN u.ordinal = 1 THEN 0 ELSE p_ends[2 * u.ordinal - 2] END AS body_start,
           p_ends[2 * u.ordinal - 1] AS body_end, p_ends[2 * u.ordinal] AS keys_end
      FROM unnest(p_partitions, p_counts, p_id_bases, v_next, v_at)
           WITH ORDINALITY AS u (id, n, id_base, first_offset, at, ordinal)
  ), w AS MATERIALIZED (
    -- A place whose items all proved duplicates has nothing to store.
    SELECT i.* FROM i WHERE i.ordinal <> ALL (v_skip) AND i.n > 0
  ), s AS (
    INSERT INTO queen.segments (partition_id, first_offset, last_offset, created_at, id_base, body, keys, accepted)
    SELECT w.id, w.first_offset, w.first_offset + w.n - 1, w.at, w.id_base,
           pg_catalog.substring(p_blob, w.body_start + 1, w.body_end - w.body_start),
           pg_catalog.substring(p_blob, w.body_end + 1, w.keys_end - w.body_end),
           pg_catalog.substring(p_accepted, 8 * w.before + 1, 8 * w.n)
      FROM w
  )
  UPDATE queen.partitions p SET next_offset = w.first_offset + w.n, last_pushed_at = w.at FROM w WHERE p.id = w.id;

  IF p_buffer_id IS NOT NULL THEN
    UPDATE queen.buffer_progress b SET drained_through = p_drained_through, updated_at = v_now
     WHERE b.buffer_id = p_buffer_id;
  END IF;

  RETURN QUERY
    SELECT 'stored', u.ordinal::int - 1, NULL::int, u.first_offset, u.at, NULL::text, NULL::bytea
      FROM unnest(v_next, v_at) WITH ORDINALITY AS u (first_offset, at, ordinal)
     WHERE u.ordinal <> ALL (v_skip);
  RETURN QUERY SELECT 'version', NULL::int, NULL::int, v_version, NULL::timestamptz, NULL::text, NULL::bytea;
END
$$;
