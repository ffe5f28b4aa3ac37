-- Counts one page of partitions, in (queue, name) order, of all queues (p_queues NULL) or of some: a row for each queue
-- (group_name NULL), one for each group that reads it, one for each of the p_late_max positions that are furthest behind
-- (partition_id given, group_name, oldest_at), and a last one that says where the page ended (queue_id and last_name;
-- NULL = the last page).
--
-- A group counts on every partition of its queue, also on those it has not read yet: there it stands where its
-- subscription starts. p_known_* are groups seen on earlier pages of the queue this page begins in.
-- The row of a queue that no group reads says how old its oldest message is; with groups, theirs say what is unfinished.
-- Every look-up goes by primary key; the cost is the partitions of the page times the groups of their queues.
CREATE FUNCTION queen.summarize_partitions(
  p_queues uuid[], p_after_queue uuid, p_after_name text, p_limit int, p_known_queue uuid[], p_known_group text[],
  -- Positions whose oldest unfinished message is younger than p_late_before are not told one by one.
  p_late_before timestamptz, p_late_max int
) RETURNS TABLE (
  queue_id uuid, group_name text, last_name text, partitions bigint, messages bigint, pushed_at timestamptz,
  members bigint, with_lag bigint, lag bigint, processing bigint, leases bigint, completed bigint, failed bigint,
  batches bigint, oldest_at timestamptz, consumed_at timestamptz, partition_id uuid
)
LANGUAGE plpgsql STABLE
SET enable_mergejoin = off
-- Planning it anew for every page would cost more than a small page.
SET plan_cache_mode = auto
AS $$
#variable_conflict use_column
DECLARE
  v_now constant timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY
  WITH page AS MATERIALIZED (
    SELECT p.id, p.queue_id, p.name, p.start_offset, p.next_offset, p.last_pushed_at,
           p.next_offset - p.start_offset - coalesce(
             (SELECT queen.offset_count(t.offsets * int8multirange(int8range(p.start_offset, NULL)))
                FROM queen.tombstones t WHERE t.partition_id = p.id), 0) AS messages,
           coalesce((SELECT array_agg(k.group_name) FROM queen.cursors k WHERE k.partition_id = p.id), '{}') AS readers
      FROM queen.page_partitions(p_queues, p_after_queue, p_after_name, p_limit) p
  ), groups AS MATERIALIZED (
    SELECT DISTINCT g.queue_id, g.group_name FROM (
      SELECT p.queue_id, r.group_name FROM page p CROSS JOIN LATERAL unnest(p.readers) AS r (group_name)
      UNION ALL SELECT u.queue_id, u.group_name FROM unnest(p_known_queue, p_known_group) AS u (queue_id, group_name)
      UNION ALL
      SELECT q.id, c.group_name FROM (SELECT DISTINCT p.queue_id FROM page p) i
        CROSS JOIN LATERAL (SELECT q.id, q.name FROM queen.queues q WHERE q.id = i.queue_id OFFSET 0) q
        CROSS JOIN LATERAL (SELECT c.group_name FROM queen.consumer_groups c WHERE c.queue_name = q.name OFFSET 0) c) g
  ), starts AS MATERIALIZED (
    SELECT g.queue_id, g.group_name, c.mode, c.starts_at
      FROM groups g
      LEFT JOIN LATERAL (
        SELECT c.mode, c.starts_at FROM queen.queues q JOIN queen.consumer_groups c ON c.queue_name = q.name
         WHERE q.id = g.queue_id AND c.group_name = g.group_name OFFSET 0) c ON true
  ), seen AS MATERIALIZED (
    SELECT p.queue_id, g.group_name, p.id, p.next_offset, k.acked, k.lease_until > v_now AS live, k.leased, k.released,
           k.completed_count, k.failed_count, k.batch_count, k.last_consumed_at, k.partition_id IS NOT NULL AS member,
           CASE WHEN k.partition_id IS NOT NULL THEN greatest(k.committed, p.start_offset)
                WHEN p.next_offset = p.start_offset THEN p.next_offset
                WHEN g.mode IS NULL OR g.mode = 'all' THEN p.start_offset
                WHEN p.last_pushed_at < g.starts_at THEN p.next_offset
                ELSE queen.offset_at(p.id, g.starts_at, g.mode = 'new') END AS position_at
      FROM page p
      JOIN starts g ON g.queue_id = p.queue_id
      LEFT JOIN LATERAL (
        SELECT k.* FROM queen.cursors k WHERE k.partition_id = p.id AND k.group_name = g.group_name OFFSET 0) k ON true
  ), counted AS MATERIALIZED (
    SELECT s.*, s.next_offset - s.position_at - CASE WHEN s.acked IS NULL OR s.acked = '{}' THEN 0 ELSE (
             -- Not offset_count: a call costs more than the rest of the row.
             SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint
               FROM unnest(s.acked * int8multirange(int8range(s.position_at, s.next_offset))) AS r) END AS unfinished,
           CASE WHEN s.live THEN (
             SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint
               FROM unnest(s.leased * int8multirange(int8range(s.position_at, NULL)) - s.acked - s.released) AS r) ELSE 0 END AS held
      FROM seen s
  ), dated AS MATERIALIZED (
    SELECT c.*, o.created_at FROM counted c
      LEFT JOIN LATERAL (
        SELECT s.created_at FROM queen.segments s
         WHERE c.unfinished > 0 AND s.partition_id = c.id AND s.first_offset <= c.position_at
         ORDER BY s.first_offset DESC LIMIT 1) o ON true
  ), unread AS MATERIALIZED (
    SELECT p.queue_id, min(o.created_at) AS oldest_at FROM page p CROSS JOIN LATERAL (
        SELECT s.created_at FROM queen.segments s
         WHERE p.next_offset > p.start_offset AND s.partition_id = p.id AND s.first_offset <= p.start_offset
         ORDER BY s.first_offset DESC LIMIT 1) o
     WHERE p.queue_id NOT IN (SELECT g.queue_id FROM groups g) GROUP BY p.queue_id
  )
  SELECT p.queue_id, NULL::text, NULL::text, count(*), sum(p.messages)::bigint, max(p.last_pushed_at),
         NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
         (SELECT u.oldest_at FROM unread u WHERE u.queue_id = p.queue_id), NULL::timestamptz, NULL::uuid
    FROM page p GROUP BY p.queue_id
  UNION ALL
  SELECT c.queue_id, c.group_name, NULL, NULL, NULL, NULL,
         count(*) FILTER (WHERE c.member), count(*) FILTER (WHERE c.unfinished > 0), sum(c.unfinished)::bigint,
         sum(c.held)::bigint, count(*) FILTER (WHERE c.live), sum(c.completed_count)::bigint, sum(c.failed_count)::bigint,
         sum(c.batch_count)::bigint, min(c.created_at), max(c.last_consumed_at), NULL
    FROM dated c GROUP BY c.queue_id, c.group_name
  UNION ALL
  (SELECT c.queue_id, c.group_name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, c.created_at, NULL, c.id
     FROM dated c WHERE c.member AND c.created_at < p_late_before ORDER BY c.created_at LIMIT p_late_max)
  UNION ALL
  (SELECT CASE WHEN n.rows = p_limit THEN p.queue_id END, NULL, CASE WHEN n.rows = p_limit THEN p.name ELSE NULL END,
          NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
     FROM (SELECT count(*) AS rows FROM page) n LEFT JOIN LATERAL (
            SELECT p.queue_id, p.name FROM page p ORDER BY p.queue_id DESC, p.name DESC LIMIT 1) p ON true);
END
$$;
