-- Takes records of one buffer over, for them to be merged with those of others. Their progress moves in this transaction.
--
--   staged     done
--   diverted   the cluster is not draining: nothing was written
--   progress   buffer_progress (number) is not p_after, or past p_from: nothing was written (see push_messages)
CREATE FUNCTION queen.stage_records(
  p_buffer_id text,
  p_after     bigint,
  p_from      bigint,
  p_through   bigint,
  p_oldest    bigint,
  p_latest    bigint,
  p_body      bytea
) RETURNS TABLE (kind text, number bigint)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
  v_progress bigint;
BEGIN
  IF (queen.drain_switch() -> 'draining') IS DISTINCT FROM 'true'::jsonb THEN
    RETURN QUERY SELECT 'diverted', NULL::bigint;
    RETURN;
  END IF;
  INSERT INTO queen.buffer_progress (buffer_id, drained_through) VALUES (p_buffer_id, 0) ON CONFLICT DO NOTHING;
  SELECT b.drained_through INTO v_progress FROM queen.buffer_progress b WHERE b.buffer_id = p_buffer_id FOR UPDATE;
  IF v_progress <> p_after OR v_progress >= p_from THEN
    RETURN QUERY SELECT 'progress', v_progress;
    RETURN;
  END IF;
  INSERT INTO queen.staged_records (buffer_id, first_number, last_number, taken_through, oldest, latest, body)
  VALUES (p_buffer_id, p_from, p_through, p_from - 1, p_oldest, p_latest, p_body);
  UPDATE queen.buffer_progress b SET drained_through = p_through, updated_at = pg_catalog.clock_timestamp()
   WHERE b.buffer_id = p_buffer_id;
  RETURN QUERY SELECT 'staged', NULL::bigint;
END
$$;
