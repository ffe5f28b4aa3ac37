-- Headers of segments stored in [p_from, p_to], newest first, of some partitions or of a whole selection.
--
-- Few partitions: each is entered by primary key at the right place, and their latest are merged. Many: the index by
-- time is walked, at most p_scan_max entries, and partitions outside the selection are passed over. Both ways have one
-- plan and a bounded cost; the last row (first_offset NULL) says that the walk was cut and where.
CREATE FUNCTION queen.list_segments(
  p_partitions uuid[], p_queue text, p_partition text, p_namespace text, p_task text,
  p_from timestamptz, p_to timestamptz,
  -- Behind this one; NULL = from the newest.
  p_after_at timestamptz, p_after_partition uuid, p_after_offset bigint,
  p_limit int, p_scan_max int
) RETURNS TABLE (partition_id uuid, first_offset bigint, last_offset bigint, created_at timestamptz)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
  v_to    constant timestamptz := least(p_to, p_after_at);
  v_count int := 0;
  v_found int := 0;
  v_last  record;
  r       record;
BEGIN
  IF p_partitions IS NOT NULL THEN
    RETURN QUERY
      SELECT s.partition_id, s.first_offset, s.last_offset, s.created_at
        FROM unnest(p_partitions) AS i (id)
       CROSS JOIN LATERAL (
         SELECT s.partition_id, s.first_offset, s.last_offset, s.created_at FROM queen.segments s
          WHERE s.partition_id = i.id AND s.first_offset < queen.offset_at(i.id, v_to, true) AND s.created_at >= p_from
            AND (p_after_at IS NULL OR (s.created_at, s.partition_id, s.first_offset) < (p_after_at, p_after_partition, p_after_offset))
          ORDER BY s.first_offset DESC LIMIT p_limit) s
       ORDER BY s.created_at DESC, s.partition_id DESC, s.first_offset DESC LIMIT p_limit;
    RETURN;
  END IF;
  FOR r IN
    SELECT s.partition_id, s.first_offset, s.last_offset, s.created_at,
           (p_queue IS NULL AND p_partition IS NULL AND p_namespace IS NULL AND p_task IS NULL) OR EXISTS (
             SELECT FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id
              WHERE p.id = s.partition_id AND (p_partition IS NULL OR p.name = p_partition)
                AND (p_queue IS NULL OR q.name = p_queue) AND (p_namespace IS NULL OR q.namespace = p_namespace)
                AND (p_task IS NULL OR q.task = p_task)) AS wanted
      FROM queen.segments s
     WHERE s.created_at >= p_from AND s.created_at <= v_to
       AND (p_after_at IS NULL OR (s.created_at, s.partition_id, s.first_offset) < (p_after_at, p_after_partition, p_after_offset))
     ORDER BY s.created_at DESC, s.partition_id DESC, s.first_offset DESC
  LOOP
    v_count := v_count + 1;
    IF r.wanted THEN
      partition_id := r.partition_id;
      first_offset := r.first_offset;
      last_offset := r.last_offset;
      created_at := r.created_at;
      RETURN NEXT;
      v_found := v_found + 1;
      EXIT WHEN v_found >= p_limit;
    END IF;
    IF v_count >= p_scan_max THEN
      partition_id := r.partition_id;
      first_offset := NULL;
      last_offset := r.first_offset;
      created_at := r.created_at;
      RETURN NEXT;
      EXIT;
    END IF;
  END LOOP;
END
$$;
