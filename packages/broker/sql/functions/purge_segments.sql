-- Deletes up to about p_rows segments that nobody can reach any more; returns whether there may be more to do.
--
-- Takes one entry at a time that no other instance is working on. What a consumer created for a partition while it was
-- being deleted goes with it.
CREATE FUNCTION queen.purge_segments(p_rows int) RETURNS boolean
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
  v_left    bigint := p_rows;
  v_deleted bigint;
  v_purge   queen.purges;
BEGIN
  WHILE v_left > 0 LOOP
    SELECT u.* INTO v_purge FROM queen.purges u ORDER BY u.created_at, u.partition_id LIMIT 1 FOR UPDATE SKIP LOCKED;
    EXIT WHEN NOT FOUND;
    DELETE FROM queen.segments s
     WHERE s.partition_id = v_purge.partition_id AND s.first_offset IN (
       SELECT e.first_offset FROM queen.segments e
        WHERE e.partition_id = v_purge.partition_id AND e.last_offset < coalesce(v_purge.before_offset, 9223372036854775807)
        ORDER BY e.first_offset LIMIT v_left);
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    IF v_deleted < v_left THEN
      IF v_purge.before_offset IS NULL THEN
        DELETE FROM queen.cursors c WHERE c.partition_id = v_purge.partition_id;
        DELETE FROM queen.dead_letters d WHERE d.partition_id = v_purge.partition_id;
        DELETE FROM queen.tombstones t WHERE t.partition_id = v_purge.partition_id;
        DELETE FROM queen.restored_messages r WHERE r.partition_id = v_purge.partition_id;
      END IF;
      DELETE FROM queen.purges u WHERE u.partition_id = v_purge.partition_id;
    END IF;
    -- An entry counts as work too, or a thousand empty partitions would be one long statement.
    v_left := v_left - greatest(v_deleted, 1);
  END LOOP;
  RETURN v_left <= 0;
END
$$;
