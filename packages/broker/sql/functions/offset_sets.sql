-- Small arithmetic on sets of offsets (int8multirange), shared by the consume functions.

-- How many offsets a set holds.
CREATE FUNCTION queen.offset_count(p_set int8multirange) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT
AS $$ SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(p_set) AS r $$;

-- The offset after the p_want-th one of [p_from, p_to) that is not in p_acked; p_to when there are fewer.
CREATE FUNCTION queen.unacked_end(p_acked int8multirange, p_from bigint, p_to bigint, p_want bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
DECLARE
  v_left bigint := p_want;
  r      int8range;
BEGIN
  FOR r IN SELECT u FROM unnest(int8multirange(int8range(p_from, p_to)) - p_acked) AS u LOOP
    IF upper(r) - lower(r) >= v_left THEN
      RETURN lower(r) + v_left;
    END IF;
    v_left := v_left - (upper(r) - lower(r));
  END LOOP;
  RETURN p_to;
END
$$;

-- The failure counts without those of finished messages.
CREATE FUNCTION queen.unfinished_failures(p_failures jsonb, p_committed bigint, p_acked int8multirange) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT
AS $$
  SELECT coalesce(jsonb_object_agg(f.key, f.value), '{}')
    FROM jsonb_each(p_failures) AS f
   WHERE f.key::bigint >= p_committed AND NOT f.key::bigint <@ p_acked
$$;

-- The first offset of a partition stored at p_time or later (p_after: later only). Segments are stored in time order,
-- so this is a binary search by primary key: some forty look-ups however long the partition is.
CREATE FUNCTION queen.offset_at(p_partition uuid, p_time timestamptz, p_after boolean) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT
AS $$
DECLARE
  v_low    bigint;
  v_high   bigint;
  v_middle bigint;
  v_first  bigint;
  v_last   bigint;
  v_at     timestamptz;
BEGIN
  SELECT p.start_offset, p.next_offset INTO v_low, v_high FROM queen.partitions p WHERE p.id = p_partition;
  WHILE v_low < v_high LOOP
    v_middle := v_low + (v_high - v_low) / 2;
    SELECT s.first_offset, s.last_offset, s.created_at INTO v_first, v_last, v_at FROM queen.segments s
     WHERE s.partition_id = p_partition AND s.first_offset <= v_middle ORDER BY s.first_offset DESC LIMIT 1;
    IF NOT FOUND THEN
      v_low := v_middle + 1;
    ELSIF v_at > p_time OR (v_at = p_time AND NOT p_after) THEN
      v_high := greatest(least(v_first, v_middle), v_low);
    ELSE
      v_low := greatest(v_last, v_middle) + 1;
    END IF;
  END LOOP;
  RETURN v_high;
END
$$;

-- When the message at an offset was stored, or the latest one before it. A function of its own because only claims
-- that find nothing but delayed messages need it, and a join would cost every claim.
CREATE FUNCTION queen.stored_at(p_partition uuid, p_offset bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
  RETURN (SELECT s.created_at FROM queen.segments s
           WHERE s.partition_id = p_partition AND s.first_offset <= p_offset ORDER BY s.first_offset DESC LIMIT 1);
END
$$;
