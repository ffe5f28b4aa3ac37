-- Stores one flush of live pushes whose partitions the caller knows up to their ends: the usual flush, in half the work of
-- push_messages. Nothing has to be probed for such a place, so locking, allocating and judging are one UPDATE: it takes
-- the row only while next_offset is what the caller knows (or when the place is not deduplicated). A place that does not
-- fit is left alone and not named in the answer; the caller brings it again through push_messages.
--
-- The fence and its reasons are those of push_messages. The partitions come in id order and are locked in that order;
-- created_at is taken inside the lock and never lies before the partition's last.
--
-- Answers one row; the lists are text with commas, places counted from 0.
CREATE FUNCTION queen.push_known(
  p_partitions uuid[],
  p_counts     int[],
  p_id_bases   uuid[],
  -- End positions in p_blob, two a place: of its body, then of its keys.
  p_ends       int[],
  p_blob       bytea,
  -- -1 = this place is not deduplicated.
  p_known_to   bigint[],
  OUT diverted boolean,
  OUT version  bigint,
  OUT places   text,
  OUT offsets  text,
  OUT times    text
)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock_shared(queen.fence_key());
  SELECT pg_catalog.bool_or(s.key = 'maintenance_mode'
           AND ((s.value ->> 'enabled')::boolean OR (s.value -> 'draining') = 'true'::jsonb)),
         pg_catalog.max(CASE WHEN s.key = 'config_version' THEN (s.value ->> 'version')::bigint END)
    INTO diverted, version
    FROM queen.system_state s WHERE s.key IN ('maintenance_mode', 'config_version');
  IF diverted THEN
    RETURN;
  END IF;
  WITH u AS (
    UPDATE queen.partitions p
       SET next_offset = p.next_offset + i.n, last_pushed_at = greatest(p.last_pushed_at, pg_catalog.clock_timestamp())
      FROM unnest(p_partitions, p_counts, p_id_bases, p_known_to) WITH ORDINALITY AS i (id, n, id_base, known_to, ordinal)
     WHERE p.id = i.id AND (i.known_to = -1 OR p.next_offset = i.known_to)
    RETURNING i.ordinal::int AS ordinal, i.id, i.n, i.id_base, p.next_offset - i.n AS first_offset, p.last_pushed_at AS at
  ), s AS (
    INSERT INTO queen.segments (partition_id, first_offset, last_offset, created_at, id_base, body, keys)
    SELECT u.id, u.first_offset, u.first_offset + u.n - 1, u.at, u.id_base,
           CASE WHEN u.ordinal = 1 THEN pg_catalog.substring(p_blob, 1, p_ends[1])
                ELSE pg_catalog.substring(p_blob, p_ends[2 * u.ordinal - 2] + 1, p_ends[2 * u.ordinal - 1] - p_ends[2 * u.ordinal - 2]) END,
           pg_catalog.substring(p_blob, p_ends[2 * u.ordinal - 1] + 1, p_ends[2 * u.ordinal] - p_ends[2 * u.ordinal - 1])
      FROM u
  )
  SELECT pg_catalog.string_agg((u.ordinal - 1)::text, ','), pg_catalog.string_agg(u.first_offset::text, ','),
         pg_catalog.string_agg(u.at::text, ',')
    INTO places, offsets, times FROM u;
END
$$;
