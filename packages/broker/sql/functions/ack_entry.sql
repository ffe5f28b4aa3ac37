-- One entry of ack_messages in full: completions, failures, retries and dead letters of one cursor under one lease.
--
-- Whether a failure is retried or dead-lettered is decided here, under the row lock, by the count stored there. The
-- caller supplies the frames it expects to be needed; when one is missing nothing is applied and the state is 'frames'.
CREATE FUNCTION queen.ack_entry(
  p_entry       int,
  p_partition   uuid,
  p_group       text,
  p_lease       text,
  p_completed   int8multirange,
  p_failed      int8multirange,
  p_retry       int8multirange,
  p_dead        int8multirange,
  p_retry_limit int,
  p_retry_delay_ms bigint,
  p_dead_entry  int[],
  p_dead_offset bigint[],
  p_dead_queue  uuid[],
  p_dead_message uuid[],
  p_dead_transaction text[],
  p_dead_frame  bytea[],
  p_dead_error  text[],
  p_dead_created timestamptz[]
) RETURNS TABLE (
  state text, ended boolean, committed bigint, dead text,
  before_committed bigint, before_acked text, before_leased text, before_released text, before_failed text, dead_before text,
  gone_before text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  k           queen.cursors;
  v_asked     constant int8multirange := p_completed + p_failed + p_retry + p_dead;
  v_now       timestamptz;
  v_open      int8multirange;
  v_done      int8multirange;
  v_failed    int8multirange;
  v_exhausted int8multirange;
  v_dead      int8multirange;
  v_retry     int8multirange;
  v_framed    int8multirange;
  v_committed bigint;
  v_acked     int8multirange;
  v_failures  jsonb;
  v_ended     boolean;
  v_state     text;
  v_before    text;
BEGIN
  SELECT * INTO k FROM queen.cursors c WHERE c.partition_id = p_partition AND c.group_name = p_group FOR UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT CASE WHEN EXISTS (SELECT FROM queen.partitions p WHERE p.id = p_partition) THEN 'none' ELSE 'gone' END,
                        false, NULL::bigint, NULL::text, NULL::bigint, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text;
    RETURN;
  END IF;
  v_now := clock_timestamp();
  v_before := queen.dead_offsets(p_partition, p_group, v_asked);
  IF k.lease_until > v_now AND (p_lease IS NULL OR p_lease = k.lease_id) THEN
    v_open := v_asked * k.leased * int8multirange(int8range(k.committed, NULL)) - k.acked - k.released;
    v_state := CASE WHEN v_open = v_asked THEN 'clean' ELSE 'live' END;
  ELSE
    RETURN QUERY SELECT CASE WHEN p_lease = k.lease_id AND k.lease_until IS NULL THEN 'ended' WHEN k.lease_until > v_now THEN 'other' ELSE 'dead' END, false,
                        k.committed, NULL::text, k.committed, k.acked::text, k.leased::text, k.released::text,
                        k.released_failed::text, v_before, queen.gone_offsets(p_partition, v_asked, k.leased);
    RETURN;
  END IF;

  v_failed := p_failed * v_open;
  SELECT coalesce(range_agg(int8range(o, o + 1)), '{}') INTO v_exhausted
    FROM unnest(v_failed) AS r CROSS JOIN LATERAL generate_series(lower(r), upper(r) - 1) AS o
   WHERE coalesce((k.failures ->> o::text)::int, 0) >= p_retry_limit;
  v_failed := v_failed - v_exhausted;
  v_dead := p_dead * v_open + v_exhausted;
  v_retry := p_retry * v_open + v_failed;
  v_done := p_completed * v_open;

  SELECT coalesce(range_agg(int8range(d.o, d.o + 1)), '{}') INTO v_framed
    FROM unnest(p_dead_entry, p_dead_offset) AS d (entry, o) WHERE d.entry = p_entry;
  IF NOT v_dead <@ v_framed THEN
    RETURN QUERY SELECT 'frames', false, k.committed, v_dead::text, k.committed, k.acked::text, k.leased::text,
                        k.released::text, k.released_failed::text, v_before, NULL::text;
    RETURN;
  END IF;

  v_committed := lower(int8multirange(int8range(k.committed, NULL)) - k.acked - v_done - v_dead);
  v_acked := (k.acked + v_done + v_dead) * int8multirange(int8range(v_committed, NULL));
  v_ended := isempty(k.leased * int8multirange(int8range(v_committed, NULL)) - v_acked - k.released - v_retry);
  v_failures := k.failures;
  IF NOT isempty(v_failed) THEN
    v_failures := v_failures || (
      SELECT jsonb_object_agg(o::text, coalesce((k.failures ->> o::text)::int, 0) + 1)
        FROM unnest(v_failed) AS r CROSS JOIN LATERAL generate_series(lower(r), upper(r) - 1) AS o);
  END IF;

  INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id, frame,
                                  error_message, retry_count, created_at)
  SELECT p_partition, p_group, d.o, d.queue_id, d.message_id, d.transaction_id, d.frame, d.error,
         coalesce((k.failures ->> d.o::text)::int, 0), d.created_at
    FROM unnest(p_dead_entry, p_dead_offset, p_dead_queue, p_dead_message, p_dead_transaction, p_dead_frame, p_dead_error,
                p_dead_created)
         AS d (entry, o, queue_id, message_id, transaction_id, frame, error, created_at)
   WHERE d.entry = p_entry AND d.o <@ v_dead
   ORDER BY d.o
      ON CONFLICT (partition_id, group_name, message_offset) DO UPDATE
         SET error_message = excluded.error_message, retry_count = excluded.retry_count, failed_at = excluded.failed_at;

  UPDATE queen.cursors c
     SET committed = v_committed,
         acked = v_acked,
         released = k.released + v_retry,
         -- With those that were dead-lettered: so a repeat of failed is told from dlq.
         released_failed = k.released_failed + v_failed + v_exhausted,
         failures = CASE WHEN v_failures = '{}' THEN v_failures
                         ELSE queen.unfinished_failures(v_failures, v_committed, v_acked) END,
         lease_until = CASE WHEN NOT v_ended THEN k.lease_until END,
         paused_until = CASE WHEN p_retry_delay_ms > 0 AND NOT isempty(p_failed * v_open)
                             THEN v_now + p_retry_delay_ms * interval '1 millisecond' ELSE k.paused_until END,
         completed_count = k.completed_count + queen.offset_count(v_done),
         failed_count = k.failed_count + queen.offset_count(p_failed * v_open),
         last_consumed_at = v_now
   WHERE c.partition_id = p_partition AND c.group_name = p_group AND NOT isempty(v_open);

  RETURN QUERY SELECT v_state, v_ended AND NOT isempty(v_open), v_committed, v_dead::text, k.committed, k.acked::text, k.leased::text,
                      k.released::text, k.released_failed::text, v_before,
                      CASE WHEN v_state <> 'clean' THEN queen.gone_offsets(p_partition, v_asked, k.leased) END;
END
$$;
