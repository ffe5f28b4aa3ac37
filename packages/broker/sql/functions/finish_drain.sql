-- Returns the cluster to normal when every expected instance is gated and nothing is staged; NULL when it is not so, or
-- when the fence is not free this moment (it is not waited for: pushes are being held).
CREATE FUNCTION queen.finish_drain(
  p_instance       text,
  p_epoch          bigint,
  p_expect_since   timestamptz,
  p_silent_ms      float8,
  p_patience_over  boolean
) RETURNS TABLE (switch jsonb, drained bigint, set_aside bigint)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
  v_switch jsonb;
  v_left   record;
BEGIN
  IF NOT pg_catalog.pg_try_advisory_xact_lock(queen.fence_key()) THEN
    RETURN;
  END IF;
  SELECT s.value INTO v_switch FROM queen.system_state s WHERE s.key = 'maintenance_mode' FOR UPDATE;
  IF (v_switch -> 'draining') IS DISTINCT FROM 'true'::jsonb OR coalesce((v_switch ->> 'epoch')::bigint, 0) <> p_epoch THEN
    RETURN;
  END IF;
  SELECT * INTO v_left FROM queen.drain_members_left(p_instance, p_epoch, p_expect_since, p_silent_ms, p_patience_over) l;
  IF v_left.awaited > 0 OR v_left.pending > 0 OR v_left.ungated > 0
     OR EXISTS (SELECT FROM queen.staged_records)
     OR NOT EXISTS (SELECT FROM queen.drain_members d
                     WHERE d.instance_id = p_instance AND d.epoch = p_epoch AND d.gated AND d.pending = 0) THEN
    RETURN;
  END IF;
  v_switch := v_switch || pg_catalog.jsonb_build_object('draining', false, 'since', pg_catalog.to_char(
    pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
  UPDATE queen.system_state s SET value = v_switch, updated_at = pg_catalog.clock_timestamp()
   WHERE s.key = 'maintenance_mode';
  PERFORM pg_catalog.pg_notify('queen_state', 'maintenance_mode');
  RETURN QUERY SELECT v_switch, coalesce(pg_catalog.sum(d.drained), 0)::bigint,
                      coalesce(pg_catalog.sum(d.set_aside), 0)::bigint
                 FROM queen.drain_members d WHERE d.epoch = p_epoch;
END
$$;
