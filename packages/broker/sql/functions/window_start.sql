-- The first offset of the partition in [p_from, p_to) that belongs to a segment stored at p_oldest or later; NULL when
-- there is none. created_at grows with the offset, so the place is found by halving: some thirty index look-ups however
-- much the partition keeps, and mostly one (all of it lies in the window) or two (none of it does).
CREATE FUNCTION queen.window_start(p_partition uuid, p_from bigint, p_to bigint, p_oldest timestamptz) RETURNS bigint
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
  v_low   bigint := p_from;
  v_high  bigint := p_to;
  v_look  bigint := p_from;
  v_start bigint;
  v_first bigint;
  v_last  bigint;
  v_at    timestamptz;
BEGIN
  SELECT s.first_offset, s.created_at INTO v_first, v_at
    FROM queen.segments s WHERE s.partition_id = p_partition AND s.first_offset >= p_from AND s.first_offset < p_to
   ORDER BY s.partition_id, s.first_offset LIMIT 1;
  IF v_first IS NULL OR v_at >= p_oldest THEN
    RETURN v_first;
  END IF;
  SELECT s.created_at INTO v_at
    FROM queen.segments s WHERE s.partition_id = p_partition AND s.first_offset < p_to
   ORDER BY s.partition_id DESC, s.first_offset DESC LIMIT 1;
  IF v_at < p_oldest THEN
    RETURN NULL;
  END IF;
  WHILE v_low < v_high LOOP
    SELECT s.first_offset, s.last_offset, s.created_at INTO v_first, v_last, v_at
      FROM queen.segments s WHERE s.partition_id = p_partition AND s.first_offset >= v_look AND s.first_offset < v_high
     ORDER BY s.partition_id, s.first_offset LIMIT 1;
    IF v_first IS NULL THEN
      v_high := v_look;
    ELSIF v_at >= p_oldest THEN
      v_start := v_first;
      v_high := v_look;
    ELSE
      v_low := v_last + 1;
    END IF;
    v_look := v_low + (v_high - v_low) / 2;
  END LOOP;
  RETURN v_start;
END
$$;
