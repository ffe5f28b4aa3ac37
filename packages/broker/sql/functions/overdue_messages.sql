-- What has waited too long in one page of a queue's partitions: for each group, the offsets below the first message
-- stored at p_before or later that it has not finished and that no live lease holds; the groups are those that have read
-- the partition and those that will (queen.unread_positions). Where there are none it comes with the group p_nobody. A last
-- row without a partition says where the page ended (name NULL = the last page).
CREATE FUNCTION queen.overdue_messages(
  p_queue uuid, p_after text, p_limit int, p_before timestamptz, p_nobody text, p_queue_mode text
)
RETURNS TABLE (partition_id uuid, name text, group_name text, cut bigint, offsets text)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
DECLARE
  v_now   constant timestamptz := clock_timestamp();
  v_page  record;
  v_pages int := 0;
  v_last  text;
  v_cut   bigint;
BEGIN
  FOR v_page IN
    SELECT p.id, p.name, p.start_offset,
           (SELECT s.created_at FROM queen.segments s WHERE s.partition_id = p.id AND s.last_offset >= p.start_offset
             ORDER BY s.first_offset LIMIT 1) AS oldest
      FROM queen.partitions p
     WHERE p.queue_id = p_queue AND p.name > p_after ORDER BY p.name LIMIT p_limit
  LOOP
    v_pages := v_pages + 1;
    v_last := v_page.name;
    CONTINUE WHEN v_page.oldest IS NULL OR v_page.oldest >= p_before;
    v_cut := queen.offset_at(v_page.id, p_before, false);
    CONTINUE WHEN v_cut <= v_page.start_offset;
    RETURN QUERY
      SELECT v_page.id, v_page.name, w.group_name, v_cut, w.waiting::text
        FROM (SELECT k.group_name,
                     int8multirange(int8range(least(greatest(k.committed, v_page.start_offset), v_cut), v_cut)) - k.acked
                       - CASE WHEN k.lease_until > v_now THEN k.leased - k.released ELSE '{}' END AS waiting
                FROM queen.cursors k WHERE k.partition_id = v_page.id
              UNION ALL
              SELECT u.group_name, int8multirange(int8range(least(u.position_at, v_cut), v_cut)) - queen.finished_from_start(v_page.id)
                FROM queen.unread_positions(p_queue, v_page.id, v_page.start_offset, p_queue_mode) u
              UNION ALL
              SELECT p_nobody, int8multirange(int8range(v_page.start_offset, v_cut)) - queen.finished_from_start(v_page.id)
               WHERE NOT EXISTS (SELECT FROM queen.cursors k WHERE k.partition_id = v_page.id)
                 AND NOT EXISTS (SELECT FROM queen.unread_positions(p_queue, v_page.id, v_page.start_offset, p_queue_mode))) w
       -- Also where nothing waits: the partition may start later now.
       ORDER BY w.group_name;
  END LOOP;
  RETURN QUERY SELECT NULL::uuid, CASE WHEN v_pages = p_limit THEN v_last END, NULL::text, NULL::bigint, NULL::text;
END
$$;

-- Lets the partition start at p_cut, or before it where some group has not finished. Dead letters come back under the lock
-- of the partition, so under it is seen who has finished.
CREATE FUNCTION queen.raise_start(p_partition uuid, p_cut bigint) RETURNS void
LANGUAGE sql
AS $$
  SELECT FROM queen.partitions p WHERE p.id = p_partition FOR NO KEY UPDATE;
  UPDATE queen.partitions p SET start_offset = n.start_offset
    FROM (SELECT least(p_cut, min(k.committed)) AS start_offset FROM queen.cursors k WHERE k.partition_id = p_partition) n
   WHERE p.id = p_partition AND p.start_offset < n.start_offset
$$;
