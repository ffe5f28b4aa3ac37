-- Moves a group on one page of a queue's partitions (in name order): to the end, or to the first message stored after
-- p_time. Makes cursors where there are none, ends leases and forgets failures. p_name not NULL = that partition only.
-- One row for each partition, in any order.
CREATE FUNCTION queen.seek_group(
  p_queue uuid, p_group text, p_name text, p_after text, p_limit int, p_time timestamptz
) RETURNS TABLE (partition_id uuid, name text, position_at bigint, moved_to timestamptz)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  v_page     record;
  v_finished int8multirange;
  v_position bigint;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(queen.new_cursors_key());
  FOR v_page IN
    SELECT g.* FROM (
      SELECT p.id, p.name, p.next_offset, p.last_pushed_at FROM queen.partitions p
       WHERE p.queue_id = p_queue AND (p_name IS NULL OR p.name = p_name) AND (p_after IS NULL OR p.name > p_after)
       ORDER BY p.name LIMIT p_limit) g
     -- The order in which pops and acks lock cursors.
     ORDER BY g.id
  LOOP
    v_position := CASE WHEN p_time IS NULL THEN v_page.next_offset
                       WHEN v_page.last_pushed_at IS NULL OR v_page.last_pushed_at <= p_time THEN v_page.next_offset
                       ELSE queen.offset_at(v_page.id, p_time, true) END;
    -- The queue was deleted after the page was read.
    CONTINUE WHEN v_position IS NULL;
    v_finished := queen.finished_from_start(v_page.id) * int8multirange(int8range(v_position, NULL));
    v_position := lower(int8multirange(int8range(v_position, NULL)) - v_finished);
    INSERT INTO queen.cursors AS c (partition_id, group_name, committed, acked)
    VALUES (v_page.id, p_group, v_position, v_finished * int8multirange(int8range(v_position, NULL)))
    ON CONFLICT (partition_id, group_name) DO UPDATE
       SET committed = excluded.committed, acked = excluded.acked, lease_id = NULL, shared_lease_id = NULL,
           lease_until = NULL, leased_at = NULL, leased = '{}', released = '{}', released_failed = '{}',
           failures = '{}', paused_until = NULL;
    partition_id := v_page.id;
    name := v_page.name;
    position_at := v_position;
    SELECT s.created_at INTO moved_to FROM queen.segments s
     WHERE s.partition_id = v_page.id AND s.first_offset < v_position ORDER BY s.first_offset DESC LIMIT 1;
    RETURN NEXT;
  END LOOP;
END
$$;
