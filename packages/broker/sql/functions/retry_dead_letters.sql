-- Takes dead letters out and makes their messages available to exactly their groups again, before everything newer:
-- the cursor goes back to them, and what was finished behind them stays finished. Failures start at 0.
--
-- When retention has taken the segment, the message gets one of its own, made of the dead letter's copy, below all
-- others. The partition then starts there; other groups, also those that come later, find everything up to the old
-- start finished. p_keys are the keys of the transactionIds, in the order of p_ids.
-- One row for each (partition, group) that has messages again.
--
-- In a maintenance window and while it drains no message is written: when one of these needs a segment of its own, all of
-- it is refused (QM001).
CREATE FUNCTION queen.retry_dead_letters(p_ids bigint[], p_keys bytea[])
RETURNS TABLE (partition_id uuid, queue_id uuid, group_name text, messages bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  v_cursor   record;
  v_letter   record;
  k          queen.cursors;
  v_start    bigint;
  v_offsets  int8multirange;
  v_finished int8multirange;
  v_committed bigint;
  v_count    bigint;
  v_switch   constant jsonb := queen.drain_switch();
  v_fenced   constant boolean := coalesce((v_switch ->> 'enabled')::boolean OR (v_switch ->> 'draining')::boolean, false);
BEGIN
  -- As ensure_cursor does, but before any row.
  PERFORM pg_advisory_xact_lock_shared(queen.new_cursors_key());
  -- Cursors before partitions, each in its order, as transactions lock them, those that are made among them; the cursors of
  -- other groups may be moved too.
  FOR v_cursor IN
    SELECT o.partition_id, o.group_name, bool_or(o.dead) AS dead FROM (
      SELECT d.partition_id, d.group_name, true AS dead FROM queen.dead_letters d WHERE d.id = ANY (p_ids)
      UNION ALL
      SELECT k.partition_id, k.group_name, false FROM queen.cursors k
       WHERE k.partition_id IN (SELECT d.partition_id FROM queen.dead_letters d WHERE d.id = ANY (p_ids))) o
     GROUP BY 1, 2 ORDER BY 1, o.group_name COLLATE "C"
  LOOP
    IF v_cursor.dead THEN
      PERFORM queen.ensure_cursor(v_cursor.partition_id, v_cursor.group_name);
    END IF;
    PERFORM FROM queen.cursors c
      WHERE c.partition_id = v_cursor.partition_id AND c.group_name = v_cursor.group_name FOR UPDATE;
  END LOOP;
  FOR v_cursor IN
    SELECT d.partition_id, d.queue_id, d.group_name, array_agg(d.id) AS ids FROM queen.dead_letters d
     WHERE d.id = ANY (p_ids) GROUP BY 1, 2, 3 ORDER BY 1, 3
  LOOP
    SELECT p.start_offset INTO v_start FROM queen.partitions p WHERE p.id = v_cursor.partition_id FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    v_offsets := '{}';
    v_count := 0;
    FOR v_letter IN
      WITH gone AS (DELETE FROM queen.dead_letters d WHERE d.id = ANY (v_cursor.ids) RETURNING d.*)
      SELECT g.*, u.key,
             EXISTS (SELECT FROM (SELECT s.last_offset FROM queen.segments s
                                   WHERE s.partition_id = g.partition_id AND s.first_offset <= g.message_offset
                                   ORDER BY s.first_offset DESC LIMIT 1) s WHERE s.last_offset >= g.message_offset) AS stored
        FROM gone g JOIN unnest(p_ids, p_keys) AS u (id, key) ON u.id = g.id
       -- From the latest, so that each one finds the start the one before it left.
       ORDER BY g.message_offset DESC
    LOOP
      v_offsets := v_offsets + int8multirange(int8range(v_letter.message_offset, v_letter.message_offset + 1));
      v_count := v_count + 1;
      IF NOT v_letter.stored THEN
        IF v_fenced THEN
          RAISE EXCEPTION 'a message would be stored in a maintenance window' USING ERRCODE = 'QM001';
        END IF;
        INSERT INTO queen.segments (partition_id, first_offset, last_offset, created_at, id_base, body, keys)
        VALUES (v_letter.partition_id, v_letter.message_offset, v_letter.message_offset, v_letter.created_at,
                v_letter.message_id, '\x00'::bytea || v_letter.frame, v_letter.key);
      END IF;
      IF NOT v_letter.stored OR v_letter.message_offset < v_start THEN
        INSERT INTO queen.restored_messages AS r (partition_id, message_offset, hidden_to)
        VALUES (v_letter.partition_id, v_letter.message_offset, greatest(v_start, v_letter.message_offset + 1))
        ON CONFLICT (partition_id, message_offset) DO UPDATE
           SET hidden_to = greatest(r.hidden_to, excluded.hidden_to), restored_at = clock_timestamp();
      END IF;
      IF v_letter.message_offset < v_start THEN
        UPDATE queen.cursors c
           SET committed = m.committed, acked = c.acked * int8multirange(int8range(m.committed, NULL))
          FROM (SELECT o.group_name, lower(int8multirange(int8range(v_start, NULL)) - o.acked) AS committed
                  FROM queen.cursors o WHERE o.partition_id = v_letter.partition_id AND o.committed < v_start FOR UPDATE) m
         WHERE c.partition_id = v_letter.partition_id AND c.group_name = m.group_name;
        UPDATE queen.partitions p SET start_offset = v_letter.message_offset WHERE p.id = v_letter.partition_id;
        v_start := v_letter.message_offset;
      END IF;
    END LOOP;
    CONTINUE WHEN v_count = 0;
    SELECT * INTO k FROM queen.cursors c
     WHERE c.partition_id = v_cursor.partition_id AND c.group_name = v_cursor.group_name;
    v_finished := int8multirange(int8range(0, greatest(k.committed, 0))) + k.acked - v_offsets;
    v_committed := lower(int8multirange(int8range(0, NULL)) - v_finished);
    UPDATE queen.cursors c
       SET committed = v_committed,
           acked = v_finished * int8multirange(int8range(v_committed, NULL)),
           leased = k.leased - v_offsets,
           released = k.released - v_offsets,
           released_failed = k.released_failed - v_offsets,
           failures = CASE WHEN k.failures = '{}' THEN k.failures ELSE k.failures - (
             SELECT array_agg(o::text) FROM unnest(v_offsets) AS r CROSS JOIN LATERAL generate_series(lower(r), upper(r) - 1) AS o) END
     WHERE c.partition_id = v_cursor.partition_id AND c.group_name = v_cursor.group_name;
    partition_id := v_cursor.partition_id;
    queue_id := v_cursor.queue_id;
    group_name := v_cursor.group_name;
    messages := v_count;
    RETURN NEXT;
  END LOOP;
END
$$;
