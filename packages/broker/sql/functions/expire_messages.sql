-- Retention on one page of a queue's partitions (in name order).
--
-- Two steps, both by whole segments. What is too old leaves at once for every reader: the partition starts behind it.
-- Its segments are deleted when they are no dedup evidence any more, that is when they are older than p_evidence.
-- A restored message holds the start back until its groups have finished it, or for as long as p_age. Dead letters come
-- back under the lock of the partition (retry_dead_letters), so under it is decided what goes.
-- One row: where the page ended (NULL = the last page), what was removed for which reason, and whether segments are left:
-- then the page has to be taken once more.
CREATE FUNCTION queen.expire_messages(
  p_queue uuid, p_after text, p_limit int,
  -- Everything stored before it goes; NULL = nothing for its age.
  p_age timestamptz,
  -- What all groups have finished goes when it was stored before it; NULL = nothing.
  p_completed timestamptz,
  p_evidence timestamptz,
  p_segments_max int,
  -- The group of queue mode, when it reads the queue.
  p_queue_mode text
) RETURNS TABLE (next_name text, aged bigint, completed bigint, segments bigint, more boolean)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  v_page    record;
  v_pages   int := 0;
  v_oldest  timestamptz;
  v_cut     bigint;
  v_done    bigint;
  v_lowest  bigint;
  v_first   bigint;
  v_held    bigint;
  v_start   bigint;
  v_deleted bigint;
BEGIN
  aged := 0;
  completed := 0;
  segments := 0;
  more := false;
  FOR v_page IN
    SELECT g.*, max(g.name) OVER () AS last_name FROM (
      SELECT p.id, p.name, p.start_offset, p.next_offset FROM queen.partitions p
       WHERE p.queue_id = p_queue AND p.name > p_after ORDER BY p.name LIMIT p_limit) g
     -- The order in which pushes lock partitions.
     ORDER BY g.id
  LOOP
    v_pages := v_pages + 1;
    next_name := v_page.last_name;
    SELECT s.first_offset, s.created_at INTO v_lowest, v_oldest FROM queen.segments s
     WHERE s.partition_id = v_page.id ORDER BY s.first_offset LIMIT 1;
    CONTINUE WHEN NOT FOUND;
    v_start := v_page.start_offset;
    v_cut := v_start;
    v_done := v_start;
    IF v_page.next_offset > v_start AND v_oldest < greatest(p_age, p_completed) THEN
      IF p_age IS NOT NULL THEN
        v_cut := greatest(v_cut, queen.offset_at(v_page.id, p_age, false));
      END IF;
      IF p_completed IS NOT NULL THEN
        SELECT min(k.committed) INTO v_done FROM queen.cursors k WHERE k.partition_id = v_page.id;
        -- Groups of the queue that have not read the partition yet stand where they will start.
        IF v_done > v_cut THEN
          SELECT least(v_done, min(u.position_at)) INTO v_done FROM queen.unread_positions(p_queue, v_page.id, v_start, p_queue_mode) u;
        END IF;
        IF v_done > v_cut THEN
          v_done := least(v_done, queen.offset_at(v_page.id, p_completed, false));
          -- Whole segments: what a group has finished of its next one stays with it.
          SELECT s.first_offset INTO v_first FROM queen.segments s
           WHERE s.partition_id = v_page.id AND s.first_offset <= v_done AND s.last_offset >= v_done
           ORDER BY s.first_offset DESC LIMIT 1;
          v_done := least(v_done, coalesce(v_first, v_done));
        END IF;
        v_done := greatest(coalesce(v_done, v_cut), v_cut);
      ELSE
        v_done := v_cut;
      END IF;
      IF v_done > v_start OR EXISTS (SELECT FROM queen.restored_messages r WHERE r.partition_id = v_page.id) THEN
        SELECT p.start_offset INTO v_start FROM queen.partitions p WHERE p.id = v_page.id FOR NO KEY UPDATE;
        -- Somebody was here since the page was read: what was made of it holds no more. The next run comes by.
        CONTINUE WHEN v_start IS DISTINCT FROM v_page.start_offset;
        IF EXISTS (SELECT FROM queen.cursors k WHERE k.partition_id = v_page.id AND k.committed < v_done) THEN
          v_done := v_cut;
        END IF;
        DELETE FROM queen.restored_messages r
         WHERE r.partition_id = v_page.id
           AND (r.message_offset < v_start OR r.restored_at < p_age
                OR NOT EXISTS (SELECT FROM queen.cursors k
                                WHERE k.partition_id = v_page.id AND k.committed <= r.message_offset AND NOT r.message_offset <@ k.acked));
      END IF;
      SELECT min(r.message_offset) INTO v_held FROM queen.restored_messages r WHERE r.partition_id = v_page.id;
      v_cut := least(v_cut, coalesce(v_held, v_cut));
      v_done := least(v_done, coalesce(v_held, v_done));
      IF v_done > v_start THEN
        UPDATE queen.partitions p SET start_offset = v_done WHERE p.id = v_page.id AND p.start_offset < v_done;
        IF FOUND THEN
          aged := aged + greatest(v_cut - v_start, 0);
          completed := completed + v_done - greatest(v_cut, v_start);
          v_start := v_done;
        END IF;
      END IF;
    END IF;
    IF v_lowest < v_start AND v_oldest < p_evidence AND segments < p_segments_max THEN
      SELECT p.start_offset INTO v_start FROM queen.partitions p WHERE p.id = v_page.id FOR KEY SHARE;
      DELETE FROM queen.segments s
       WHERE s.partition_id = v_page.id AND s.first_offset IN (
         SELECT e.first_offset FROM queen.segments e
          WHERE e.partition_id = v_page.id AND e.last_offset < v_start AND e.created_at < p_evidence
          ORDER BY e.first_offset LIMIT p_segments_max - segments);
      GET DIAGNOSTICS v_deleted = ROW_COUNT;
      segments := segments + v_deleted;
      IF v_deleted > 0 THEN
        UPDATE queen.tombstones t SET offsets = t.offsets * int8multirange(int8range(v_start, NULL))
         WHERE t.partition_id = v_page.id;
        DELETE FROM queen.tombstones t WHERE t.partition_id = v_page.id AND isempty(t.offsets);
      END IF;
    END IF;
    IF segments >= p_segments_max THEN
      more := true;
      EXIT;
    END IF;
  END LOOP;
  IF v_pages < p_limit AND NOT more THEN
    next_name := NULL;
  END IF;
  RETURN NEXT;
END
$$;
