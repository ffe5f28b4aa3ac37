-- Keys of the partition's segments from p_from on that were stored within the window, oldest first: whole segments, as
-- many as it takes to reach p_keys_max keys.
CREATE FUNCTION queen.read_keys(p_partition uuid, p_from bigint, p_window int, p_keys_max bigint)
RETURNS TABLE (first_offset bigint, created_at timestamptz, keys bytea)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
  v_start bigint := queen.window_start(
    p_partition, p_from, (SELECT p.next_offset FROM queen.partitions p WHERE p.id = p_partition),
    pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => p_window));
  v_keys  bigint := 0;
  r       record;
BEGIN
  FOR r IN
    SELECT s.first_offset, s.last_offset, s.created_at, s.keys FROM queen.segments s
     WHERE s.partition_id = p_partition AND s.first_offset >= v_start
     ORDER BY s.partition_id, s.first_offset
  LOOP
    first_offset := r.first_offset;
    created_at := r.created_at;
    keys := r.keys;
    RETURN NEXT;
    v_keys := v_keys + r.last_offset - r.first_offset + 1;
    EXIT WHEN v_keys >= p_keys_max;
  END LOOP;
END
$$;
