-- Claims messages for a set of candidates, each a (partition, group), and reads what the caller has not cached: one
-- round trip, one commit, however many candidates.
--
-- Invariants: the cursor row is locked before it is judged, and judged by the newest version and the clock read after
-- the lock, so two claims never hold the same message (G6). Rows locked by others are skipped, never waited for.
-- Candidates of one request share its p_want: they are served in order until it is used up. A cursor never goes back.
--
-- Every step is keyed by partition_id and has one possible plan: nested loops over primary keys. Other plans are
-- switched off, so a table that grew since it was last analysed cannot change it.
--
-- One row for each segment a candidate was given and the caller lacks; at least one row for each candidate. States:
--   claimed   position..leased_to is leased (autoAck: finished); leased_set is given when it has holes
--   empty     nothing to deliver            leased    another lease is live, until wake_ms
--   paused    retry pause until wake_ms     window    the window of the newest message ends at wake_ms
--   delayed   next message due at wake_ms   busy      the cursor is locked or missing
--   unused    the request was full before   gone      the partition does not exist
--   hole      messages are missing between position and next_offset (see reconcile_partitions.sql)
CREATE FUNCTION queen.pop_messages(
  p_partition   uuid[],
  p_group       text[],
  -- Candidates with the same number belong to one request and follow each other.
  p_request     int[],
  p_want        bigint[],
  -- NULL = autoAck.
  p_lease       text[],
  p_shared      boolean[],
  p_lease_ms    bigint[],
  p_delay_ms    bigint[],
  p_window_ms   bigint[],
  -- Bodies of segments inside [cached_from, cached_to) are not returned.
  p_cached_from bigint[],
  p_cached_to   bigint[],
  -- Body bytes after which a candidate gets no further segment.
  p_bytes_max   bigint,
  -- False where losing this commit in a crash only means another delivery.
  p_durable     boolean,
  -- Per candidate, NULL when its cursor is known to exist: where the group starts (all | new | timestamp) and when.
  p_start_mode  text[],
  p_start_at    timestamptz[]
) RETURNS TABLE (
  ordinal int, state text, position_at bigint, leased_to bigint, next_offset bigint, wake_ms bigint, until_ms bigint,
  leased_set text, failures text, first_offset bigint, last_offset bigint, created_at timestamptz, id_base uuid, body bytea
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  -- Body bytes of all candidates together after which none is given any.
  c_bytes_max constant bigint := 32 * 1024 * 1024;
BEGIN
  IF NOT p_durable THEN
    PERFORM set_config('synchronous_commit', 'off', true);
  END IF;

  IF p_start_mode IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock_shared(queen.new_cursors_key());
    INSERT INTO queen.cursors (partition_id, group_name, committed, acked)
    SELECT c.partition_id, c.group_name, lower(s.todo), f.finished * int8multirange(int8range(lower(s.todo), NULL))
      FROM unnest(p_partition, p_group, p_start_mode, p_start_at) AS c (partition_id, group_name, mode, start_at)
     CROSS JOIN LATERAL (SELECT p.start_offset FROM queen.partitions p WHERE p.id = c.partition_id OFFSET 0) p
     CROSS JOIN LATERAL (SELECT queen.finished_from_start(c.partition_id) AS finished OFFSET 0) f
     CROSS JOIN LATERAL (
       SELECT int8multirange(int8range(CASE WHEN c.mode = 'all' THEN p.start_offset
                                            ELSE queen.offset_at(c.partition_id, c.start_at, c.mode = 'new') END, NULL))
              - f.finished AS todo OFFSET 0) s
     WHERE c.mode IS NOT NULL
       AND NOT EXISTS (SELECT FROM queen.cursors k WHERE k.partition_id = c.partition_id AND k.group_name = c.group_name)
     -- Two that make the same cursors wait for each other: in one order, or it is a deadlock.
     ORDER BY c.partition_id, c.group_name COLLATE "C"
        ON CONFLICT DO NOTHING;
  END IF;

  RETURN QUERY
  WITH locked AS MATERIALIZED (
    SELECT c.*, p.next_offset, p.start_offset, p.last_pushed_at,
           k.committed, k.acked, k.lease_until, k.paused_until, k.failures, clock_timestamp() AS at,
           row_number() OVER (PARTITION BY c.partition_id, c.group_name ORDER BY c.ordinal) AS turn
      FROM unnest(p_partition, p_group, p_request, p_want, p_lease, p_shared, p_lease_ms, p_delay_ms, p_window_ms,
                  p_cached_from, p_cached_to)
           WITH ORDINALITY AS c (partition_id, group_name, request, want, lease, shared, lease_ms, delay_ms, window_ms,
                                 cached_from, cached_to, ordinal)
      LEFT JOIN LATERAL (
        SELECT k.committed, k.acked, k.lease_until, k.paused_until, k.failures
          FROM queen.cursors k
         WHERE k.partition_id = c.partition_id AND k.group_name = c.group_name
           FOR UPDATE SKIP LOCKED) k ON true
      LEFT JOIN LATERAL (
        SELECT p.next_offset, p.start_offset, p.last_pushed_at
          FROM queen.partitions p WHERE p.id = c.partition_id OFFSET 0) p ON true
  ), judged AS MATERIALIZED (
    SELECT l.*, greatest(l.committed, l.start_offset) AS position_at,
           CASE WHEN l.next_offset IS NULL THEN 'gone'
                WHEN l.committed IS NULL THEN 'busy'
                -- Its own lock keeps nobody out: of two candidates with one cursor the first has it.
                WHEN l.turn > 1 THEN 'busy'
                WHEN l.lease_until > l.at THEN 'leased'
                WHEN l.next_offset <= greatest(l.committed, l.start_offset) THEN 'empty'
                WHEN l.acked <> '{}' AND int8range(greatest(l.committed, l.start_offset), l.next_offset) <@ l.acked THEN 'empty'
                WHEN l.paused_until > l.at THEN 'paused'
                WHEN l.window_ms > 0 AND l.last_pushed_at > l.at - l.window_ms * interval '1 millisecond' THEN 'window'
                ELSE 'open' END AS state
      FROM locked l
  ), shared_out AS MATERIALIZED (
    -- How many messages this candidate may give its request: what those before it leave of the request's want.
    SELECT j.*,
           CASE WHEN j.state = 'open' THEN least(j.available, j.want - coalesce(
             sum(j.available) OVER (PARTITION BY j.request ORDER BY j.ordinal
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) ELSE 0 END AS take
      FROM (SELECT j.*,
                   CASE WHEN j.state <> 'open' THEN 0
                        WHEN j.acked = '{}' THEN j.next_offset - j.position_at
                        ELSE queen.offset_count(int8multirange(int8range(j.position_at, j.next_offset)) - j.acked)
                         END AS available
              FROM judged j) j
  ), given AS MATERIALIZED (
    SELECT o.ordinal, o.partition_id, o.group_name, o.lease, o.shared, o.lease_ms, o.delay_ms, o.window_ms, o.at,
           o.state, o.take, o.next_offset, o.last_pushed_at, o.lease_until, o.paused_until, o.acked, o.failures,
           o.cached_from, o.cached_to,
           greatest(o.position_at, s.lowest) AS position_at, least(s.upto, t.target) AS leased_to, s.place, s.bytes,
           s.first_offset, s.last_offset, s.created_at, s.id_base, s.body
      FROM shared_out o
      LEFT JOIN LATERAL (
        SELECT CASE WHEN o.take <= 0 THEN NULL
                    WHEN o.acked = '{}' THEN o.position_at + o.take::bigint
                    ELSE queen.unacked_end(o.acked, o.position_at, o.next_offset, o.take::bigint) END AS target
        OFFSET 0) t ON true
      LEFT JOIN LATERAL (
        SELECT i.*, max(i.last_offset) OVER () + 1 AS upto, min(i.first_offset) OVER () AS lowest,
               row_number() OVER (ORDER BY i.first_offset) AS place,
               sum(octet_length(i.body)) OVER () AS bytes
          FROM (SELECT g.first_offset, g.last_offset, g.created_at, g.id_base, g.body,
                       sum(octet_length(g.body)) OVER (ORDER BY g.first_offset ROWS UNBOUNDED PRECEDING)
                         - octet_length(g.body) AS bytes_before
                  FROM queen.segments g
                 WHERE g.partition_id = o.partition_id
                   AND g.first_offset >= coalesce((
                         SELECT h.first_offset FROM queen.segments h
                          WHERE h.partition_id = o.partition_id AND h.first_offset <= o.position_at
                          ORDER BY h.first_offset DESC LIMIT 1), 0)
                   AND g.first_offset < t.target
                   AND g.last_offset >= o.position_at
                   AND (o.delay_ms = 0 OR g.created_at <= o.at - o.delay_ms * interval '1 millisecond')
                 ORDER BY g.first_offset) i
         WHERE i.bytes_before < p_bytes_max) s ON o.take > 0
  ), cut AS MATERIALIZED (
    -- Every candidate may exceed its share by a segment: from this one on they get nothing before the next statement.
    SELECT min(f.ordinal) AS ordinal
      FROM (SELECT g.ordinal, sum(g.bytes) OVER (ORDER BY g.ordinal ROWS UNBOUNDED PRECEDING) - g.bytes AS bytes_before
              FROM given g WHERE g.place = 1) f
     WHERE f.bytes_before >= c_bytes_max
  ), updated AS (
    UPDATE queen.cursors k
       SET committed = CASE WHEN g.lease IS NOT NULL THEN g.position_at
                            WHEN g.acked = '{}' THEN g.leased_to
                            ELSE lower(int8multirange(int8range(g.leased_to, NULL)) - g.acked) END,
           acked = CASE WHEN g.acked = '{}' THEN g.acked
                        ELSE g.acked * int8multirange(int8range(CASE WHEN g.lease IS NULL THEN g.leased_to ELSE g.position_at END, NULL)) END,
           lease_id = g.lease,
           shared_lease_id = CASE WHEN g.shared THEN g.lease END,
           lease_until = CASE WHEN g.lease IS NOT NULL THEN g.at + g.lease_ms * interval '1 millisecond' END,
           leased_at = g.at,
           leased = CASE WHEN g.lease IS NULL THEN '{}'
                         ELSE int8multirange(int8range(g.position_at, g.leased_to)) - g.acked END,
           released = '{}',
           released_failed = '{}',
           failures = CASE WHEN g.lease IS NOT NULL OR g.failures = '{}' THEN g.failures
                           ELSE queen.unfinished_failures(g.failures, g.leased_to, g.acked) END,
           paused_until = NULL,
           completed_count = k.completed_count + CASE
             WHEN g.lease IS NOT NULL THEN 0
             WHEN g.acked = '{}' THEN g.leased_to - g.position_at
             ELSE queen.offset_count(int8multirange(int8range(g.position_at, g.leased_to)) - g.acked) END,
           batch_count = k.batch_count + 1,
           last_consumed_at = g.at
      FROM given g
     WHERE g.place = 1 AND (g.ordinal < (SELECT c.ordinal FROM cut c)) IS NOT FALSE
       AND k.partition_id = g.partition_id AND k.group_name = g.group_name
  )
  SELECT g.ordinal::int,
         CASE WHEN g.state <> 'open' THEN g.state
              WHEN g.take <= 0 OR b.late THEN 'unused'
              WHEN g.place IS NOT NULL THEN 'claimed'
              WHEN g.delay_ms > 0 THEN 'delayed'
              ELSE 'hole' END,
         g.position_at, g.leased_to, g.next_offset,
         (CASE WHEN g.state = 'leased' THEN extract(epoch FROM g.lease_until - g.at) * 1000
               WHEN g.state = 'paused' THEN extract(epoch FROM g.paused_until - g.at) * 1000
               WHEN g.state = 'window' THEN extract(epoch FROM g.last_pushed_at - g.at) * 1000 + g.window_ms
               WHEN g.take > 0 AND g.place IS NULL AND g.delay_ms > 0
               THEN extract(epoch FROM queen.stored_at(g.partition_id, g.position_at) - g.at) * 1000 + g.delay_ms END)::bigint + 1,
         CASE WHEN g.place IS NOT NULL AND g.lease IS NOT NULL THEN (extract(epoch FROM g.at) * 1000)::bigint + g.lease_ms END,
         CASE WHEN g.place = 1 AND g.acked <> '{}'
              THEN (int8multirange(int8range(g.position_at, g.leased_to)) - g.acked)::text END,
         CASE WHEN g.place = 1 AND g.failures <> '{}' THEN g.failures::text END,
         CASE WHEN b.wanted THEN g.first_offset END, CASE WHEN b.wanted THEN g.last_offset END,
         CASE WHEN b.wanted THEN g.created_at END, CASE WHEN b.wanted THEN g.id_base END,
         CASE WHEN b.wanted THEN g.body END
    FROM given g
   CROSS JOIN LATERAL (
     SELECT l.late, g.place IS NOT NULL AND NOT l.late
                    AND NOT (g.first_offset >= g.cached_from AND g.last_offset < g.cached_to) AS wanted
       FROM (SELECT g.place IS NOT NULL AND (g.ordinal >= (SELECT c.ordinal FROM cut c)) IS TRUE AS late) l OFFSET 0) b
   -- Cached segments need no row of their own; the first one carries the claim.
   WHERE b.wanted OR g.place IS NULL OR g.place = 1;
END
$$;
