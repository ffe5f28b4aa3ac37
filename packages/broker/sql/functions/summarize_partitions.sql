-- Counts one page of partitions, in (queue, name) order, of all queues (p_queues NULL) or of some: a row for each queue
-- (group_name NULL), one for each group that reads it, one for each of the p_late_max positions that are furthest behind
-- (partition_id given, group_name, oldest_at), and a last one that says where the page ended (queue_id and last_name;
-- NULL = the last page).
--
-- A group counts on every partition of its queue, also on those it has not read yet: there it stands where its
-- subscription starts. p_known_* are groups seen on earlier pages of the queue this page begins in.
-- The row of a queue that no group reads says how old its oldest message is; with groups, theirs say what is unfinished.
-- The cost is the partitions of the page times the groups of their queues: some 15 microseconds each. Look-ups go by
-- primary key; a page that is a large share of all partitions (p_scan) reads all cursors in one go instead.
CREATE FUNCTION queen.summarize_partitions(
  p_queues uuid[], p_after_queue uuid, p_after_name text, p_limit int, p_scan boolean,
  p_known_queue uuid[], p_known_group text[],
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
-- A page of 50,000 partitions stays in memory.
SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
  v_now constant timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY
  WITH page AS MATERIALIZED (
    SELECT p.id, p.queue_id, p.name, p.start_offset, p.next_offset, p.last_pushed_at,
           p.next_offset - p.start_offset - CASE WHEN t.partition_id IS NULL THEN 0 ELSE
             queen.offset_count(t.offsets * int8multirange(int8range(p.start_offset, NULL))) END AS messages,
           -- As finished_from_start says it, NULL = nothing: what is looked up for each partition costs more than its row.
           CASE WHEN t.partition_id IS NOT NULL OR r.partition_id IS NOT NULL
                THEN coalesce(t.offsets, '{}') + coalesce(r.hidden, '{}') END AS finished,
           CASE WHEN t.partition_id IS NULL AND r.partition_id IS NULL THEN p.start_offset
                ELSE lower(int8multirange(int8range(p.start_offset, NULL)) - coalesce(t.offsets, '{}') - coalesce(r.hidden, '{}'))
                 END AS oldest_offset
      FROM queen.page_partitions(p_queues, p_after_queue, p_after_name, p_limit) p
      LEFT JOIN queen.tombstones t ON t.partition_id = p.id
      LEFT JOIN (SELECT r.partition_id, range_agg(int8range(r.message_offset, r.hidden_to)) AS hidden
                   FROM queen.restored_messages r GROUP BY r.partition_id) r ON r.partition_id = p.id
  ), placed AS MATERIALIZED (
    -- One of the two: the other one's filter is settled before it begins.
    SELECT p.queue_id, k.group_name, p.id, p.next_offset, greatest(k.committed, p.start_offset) AS position_at,
           k.acked, k.lease_until > v_now AS live, k.leased, k.released, k.completed_count, k.failed_count,
           k.batch_count, k.last_consumed_at
      FROM page p
     CROSS JOIN LATERAL (SELECT k.* FROM queen.cursors k WHERE k.partition_id = p.id OFFSET 0) k
     WHERE NOT p_scan
    UNION ALL
    SELECT p.queue_id, k.group_name, p.id, p.next_offset, greatest(k.committed, p.start_offset),
           k.acked, k.lease_until > v_now, k.leased, k.released, k.completed_count, k.failed_count,
           k.batch_count, k.last_consumed_at
      FROM page p JOIN queen.cursors k ON k.partition_id = p.id
     WHERE p_scan
  ), sizes AS MATERIALIZED (
    SELECT p.queue_id, count(*) AS partitions, sum(p.messages)::bigint AS messages, max(p.last_pushed_at) AS pushed_at
      FROM page p GROUP BY p.queue_id
  ), groups AS MATERIALIZED (
    SELECT g.queue_id, g.group_name, sum(g.members)::bigint AS members FROM (
      SELECT k.queue_id, k.group_name, count(*) AS members FROM placed k GROUP BY k.queue_id, k.group_name
      UNION ALL
      SELECT u.queue_id, u.group_name, 0 FROM unnest(p_known_queue, p_known_group) AS u (queue_id, group_name)
      UNION ALL
      SELECT i.queue_id, c.group_name, 0 FROM sizes i
        CROSS JOIN LATERAL (SELECT q.name FROM queen.queues q WHERE q.id = i.queue_id OFFSET 0) q
        CROSS JOIN LATERAL (SELECT c.group_name FROM queen.consumer_groups c WHERE c.queue_name = q.name OFFSET 0) c) g
     GROUP BY g.queue_id, g.group_name
  ), starts AS MATERIALIZED (
    -- Of groups that have not read every partition of the page yet.
    SELECT g.queue_id, g.group_name, c.mode, c.starts_at
      FROM groups g JOIN sizes i ON i.queue_id = g.queue_id AND i.partitions > g.members
      LEFT JOIN LATERAL (
        SELECT c.mode, c.starts_at FROM queen.queues q JOIN queen.consumer_groups c ON c.queue_name = q.name
         WHERE q.id = g.queue_id AND c.group_name = g.group_name OFFSET 0) c ON true
  ), seen AS (
    SELECT k.*, true AS member FROM placed k
    UNION ALL
    SELECT p.queue_id, g.group_name, p.id, p.next_offset,
           -- The first one there that is not finished from the start.
           CASE WHEN p.next_offset = p.start_offset THEN p.next_offset
                WHEN p.finished IS NOT NULL THEN least(p.next_offset, lower(int8multirange(int8range(
                  CASE WHEN g.mode IS NULL OR g.mode = 'all' THEN p.start_offset
                       ELSE queen.offset_at(p.id, g.starts_at, g.mode = 'new') END, NULL)) - p.finished))
                WHEN g.mode IS NULL OR g.mode = 'all' THEN p.start_offset
                WHEN p.last_pushed_at < g.starts_at THEN p.next_offset
                ELSE queen.offset_at(p.id, g.starts_at, g.mode = 'new') END,
           p.finished, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false
      FROM starts g JOIN page p ON p.queue_id = g.queue_id
     WHERE NOT EXISTS (SELECT FROM placed k WHERE k.id = p.id AND k.group_name = g.group_name)
  ), dated AS MATERIALIZED (
    SELECT c.*, o.created_at FROM (
      SELECT s.queue_id, s.group_name, s.id, s.position_at, s.live, s.completed_count, s.failed_count, s.batch_count,
             s.last_consumed_at, s.member,
             s.next_offset - s.position_at - CASE WHEN s.acked IS NULL OR s.acked = '{}' THEN 0 ELSE (
               -- Not offset_count: a call costs more than the rest of the row.
               SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint
                 FROM unnest(s.acked * int8multirange(int8range(s.position_at, s.next_offset))) AS r) END AS unfinished,
             CASE WHEN s.live THEN (
               SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint
                 FROM unnest(s.leased * int8multirange(int8range(s.position_at, NULL)) - s.acked - s.released) AS r)
             ELSE 0 END AS held
        FROM seen s OFFSET 0) c
      LEFT JOIN LATERAL (
        SELECT s.created_at FROM queen.segments s
         WHERE c.unfinished > 0 AND s.partition_id = c.id AND s.first_offset <= c.position_at
         ORDER BY s.first_offset DESC LIMIT 1) o ON true
  ), unread AS MATERIALIZED (
    SELECT p.queue_id, min(o.created_at) AS oldest_at FROM page p CROSS JOIN LATERAL (
        SELECT s.created_at FROM queen.segments s
         WHERE p.next_offset > p.oldest_offset AND s.partition_id = p.id AND s.first_offset <= p.oldest_offset
         ORDER BY s.first_offset DESC LIMIT 1) o
     WHERE p.queue_id NOT IN (SELECT g.queue_id FROM groups g) GROUP BY p.queue_id
  )
  SELECT i.queue_id, NULL::text, NULL::text, i.partitions, i.messages, i.pushed_at,
         NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
         u.oldest_at, NULL::timestamptz, NULL::uuid
    FROM sizes i LEFT JOIN unread u ON u.queue_id = i.queue_id
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
