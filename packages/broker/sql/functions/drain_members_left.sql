-- What the other instances of a drain still owe: one row.
--
-- Expected are those heard of since p_expect_since. With p_patience_over, whoever has been silent for p_silent_ms is left
-- behind.
--
-- STABLE for its caller's sake: it sees what the statement that asks sees, and not what was committed since. Or that statement
-- would combine a stage that was empty with a report that was made after records had been staged.
CREATE FUNCTION queen.drain_members_left(
  p_instance       text,
  p_epoch          bigint,
  p_expect_since   timestamptz,
  p_silent_ms      float8,
  p_patience_over  boolean
) RETURNS TABLE (
  -- Expected, and without a report in this epoch.
  awaited  int,
  -- NULL when no other instance has reported.
  frontier bigint,
  pending  bigint,
  ungated  int,
  -- The smallest id of the others that are there: elects who merges and who calls.
  first_id text,
  -- Another instance holds its pushes.
  called   boolean
)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
  WITH seen AS (
    SELECT pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => p_silent_ms / 1000) AS since
  ), reported AS (
    SELECT d.* FROM queen.drain_members d, seen
     WHERE d.instance_id <> p_instance AND d.epoch = p_epoch AND (NOT p_patience_over OR d.seen_at > seen.since)
  )
  SELECT (SELECT pg_catalog.count(*)::int FROM queen.instances i, seen
           WHERE i.id <> p_instance
             AND i.last_seen_at >= p_expect_since
             AND (NOT p_patience_over OR i.last_seen_at > seen.since)
             AND NOT EXISTS (SELECT FROM queen.drain_members d WHERE d.instance_id = i.id AND d.epoch = p_epoch)),
         pg_catalog.min(r.frontier),
         coalesce(pg_catalog.sum(r.pending), 0)::bigint,
         pg_catalog.count(*) FILTER (WHERE NOT r.gated)::int,
         pg_catalog.min(r.instance_id) FILTER (WHERE r.seen_at > pg_catalog.clock_timestamp() - interval '1 second'),
         coalesce(pg_catalog.bool_or(r.closing AND r.seen_at > pg_catalog.clock_timestamp() - interval '1 second'), false)
    FROM reported r
$$;
