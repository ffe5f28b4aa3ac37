-- One instance's report in a drain, and what it has to know for its next step. Under the shared fence, so that it either
-- comes before a finish_drain, which then sees it, or after, and then the switch says so.
--
-- A report of another epoch, or when nothing is draining, changes nothing; the switch in the answer tells.
CREATE FUNCTION queen.report_drain(
  p_instance       text,
  p_epoch          bigint,
  p_serial         bigint,
  p_frontier       bigint,
  p_pending        bigint,
  p_closing        boolean,
  p_gated          boolean,
  p_drained        bigint,
  p_set_aside      bigint,
  p_expect_since   timestamptz,
  p_silent_ms      float8,
  p_patience_over  boolean
) RETURNS TABLE (
  switch   jsonb,
  staged   bigint,
  awaited  int,
  frontier bigint,
  pending  bigint,
  ungated  int,
  first_id text,
  called   boolean,
  -- The latest report that counts; beyond p_serial, this one did not.
  serial   bigint
)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
  v_switch jsonb := queen.drain_switch();
BEGIN
  IF (v_switch -> 'draining') IS DISTINCT FROM 'true'::jsonb OR coalesce((v_switch ->> 'epoch')::bigint, 0) <> p_epoch THEN
    RETURN QUERY SELECT v_switch, 0::bigint, 0, NULL::bigint, 0::bigint, 0, NULL::text, false, p_serial;
    RETURN;
  END IF;
  INSERT INTO queen.drain_members AS d (instance_id, serial, epoch, frontier, pending, closing, gated, drained, set_aside, seen_at)
  VALUES (p_instance, p_serial, p_epoch, p_frontier, p_pending, p_closing, p_gated, p_drained, p_set_aside, pg_catalog.clock_timestamp())
  ON CONFLICT (instance_id) DO UPDATE SET serial = excluded.serial, epoch = excluded.epoch, frontier = excluded.frontier,
    pending = excluded.pending, closing = excluded.closing, gated = excluded.gated, drained = excluded.drained, set_aside = excluded.set_aside,
    seen_at = excluded.seen_at
    WHERE d.serial < excluded.serial;
  RETURN QUERY
    SELECT v_switch,
           (SELECT coalesce(pg_catalog.sum(s.last_number - s.taken_through), 0)::bigint FROM queen.staged_records s),
           l.awaited, l.frontier, l.pending, l.ungated, l.first_id, l.called,
           (SELECT d.serial FROM queen.drain_members d WHERE d.instance_id = p_instance)
      FROM queen.drain_members_left(p_instance, p_epoch, p_expect_since, p_silent_ms, p_patience_over) l;
END
$$;
