-- Marks offsets as finished for one group, outside of an ack: they are dead-lettered, evicted or deleted. What a lease
-- holds of them it loses; it goes on with the rest and ends when nothing is left.
--
-- The caller holds the lock of the cursor's row. No count of completed messages changes.
CREATE FUNCTION queen.finish_offsets(p_partition uuid, p_group text, p_offsets int8multirange) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  k           queen.cursors;
  v_committed bigint;
  v_acked     int8multirange;
BEGIN
  SELECT * INTO k FROM queen.cursors c WHERE c.partition_id = p_partition AND c.group_name = p_group;
  v_committed := lower(int8multirange(int8range(k.committed, NULL)) - k.acked - p_offsets);
  v_acked := (k.acked + p_offsets) * int8multirange(int8range(v_committed, NULL));
  UPDATE queen.cursors c
     SET committed = v_committed,
         acked = v_acked,
         failures = CASE WHEN k.failures = '{}' THEN k.failures
                         ELSE queen.unfinished_failures(k.failures, v_committed, v_acked) END,
         lease_until = CASE WHEN NOT isempty(k.leased * int8multirange(int8range(v_committed, NULL)) - v_acked - k.released)
                            THEN k.lease_until END
   WHERE c.partition_id = p_partition AND c.group_name = p_group;
END
$$;

-- Puts messages into the dead letters of one group, as far as it has not finished them. With p_spare_leased those of a
-- live lease stay with it. Frames NULL: the messages are only finished, no dead letter is kept.
-- One row: which offsets it was done to, and whether a lease ended with it; done NULL when the partition does not exist.
CREATE FUNCTION queen.bury_messages(
  p_partition    uuid,
  p_group        text,
  p_offsets      int8multirange,
  p_spare_leased boolean,
  p_error        text,
  p_queue        uuid,
  p_offset       bigint[],
  p_message      uuid[],
  p_transaction  text[],
  p_frame        bytea[],
  p_created      timestamptz[]
) RETURNS TABLE (done text, ended boolean)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  k      queen.cursors;
  v_open int8multirange;
  v_live boolean;
BEGIN
  IF NOT queen.ensure_cursor(p_partition, p_group) THEN
    RETURN QUERY SELECT NULL::text, false;
    RETURN;
  END IF;
  SELECT * INTO k FROM queen.cursors c WHERE c.partition_id = p_partition AND c.group_name = p_group FOR UPDATE;
  v_live := coalesce(k.lease_until > clock_timestamp(), false);
  v_open := p_offsets * int8multirange(int8range(k.committed, NULL)) - k.acked;
  IF p_spare_leased AND v_live THEN
    v_open := v_open - (k.leased - k.released);
  END IF;
  IF isempty(v_open) THEN
    RETURN QUERY SELECT '{}', false;
    RETURN;
  END IF;
  IF p_frame IS NOT NULL THEN
    INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id, frame,
                                    error_message, retry_count, created_at)
    SELECT p_partition, p_group, d.o, p_queue, d.message_id, d.transaction_id, d.frame, p_error,
           coalesce((k.failures ->> d.o::text)::int, 0), d.created_at
      FROM unnest(p_offset, p_message, p_transaction, p_frame, p_created) AS d (o, message_id, transaction_id, frame, created_at)
     WHERE d.o <@ v_open
     ORDER BY d.o
        ON CONFLICT (partition_id, group_name, message_offset) DO UPDATE
           SET error_message = excluded.error_message, retry_count = excluded.retry_count, failed_at = excluded.failed_at;
  END IF;
  PERFORM queen.finish_offsets(p_partition, p_group, v_open);
  RETURN QUERY
    SELECT v_open::text, v_live AND c.lease_until IS NULL
      FROM queen.cursors c WHERE c.partition_id = p_partition AND c.group_name = p_group;
END
$$;
