-- Adds what one instance counted to the rows of all step widths: {"<name>": number}. Names that end in Max keep the
-- largest, all others are summed.
CREATE FUNCTION queen.merged_counts(p_old jsonb, p_new jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT
AS $$
  SELECT coalesce(jsonb_object_agg(k.key, CASE WHEN k.key LIKE '%Max'
           THEN greatest((p_old ->> k.key)::numeric, (p_new ->> k.key)::numeric)
           ELSE coalesce((p_old ->> k.key)::numeric, 0) + coalesce((p_new ->> k.key)::numeric, 0) END), '{}')
    FROM (SELECT jsonb_object_keys(p_old) AS key UNION SELECT jsonb_object_keys(p_new)) k
$$;

-- The same for what was sampled: {"<name>": [sum, min, max, last]}.
CREATE FUNCTION queen.merged_gauges(p_old jsonb, p_new jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT
AS $$
  SELECT coalesce(jsonb_object_agg(k.key, CASE
           WHEN p_old -> k.key IS NULL THEN p_new -> k.key
           WHEN p_new -> k.key IS NULL THEN p_old -> k.key
           ELSE jsonb_build_array(
             (p_old -> k.key ->> 0)::numeric + (p_new -> k.key ->> 0)::numeric,
             least((p_old -> k.key ->> 1)::numeric, (p_new -> k.key ->> 1)::numeric),
             greatest((p_old -> k.key ->> 2)::numeric, (p_new -> k.key ->> 2)::numeric),
             p_new -> k.key -> 3) END), '{}')
    FROM (SELECT jsonb_object_keys(p_old) AS key UNION SELECT jsonb_object_keys(p_new)) k
$$;

-- p_ago_ms: the middle of the time that was counted, from now. p_queues: an array of objects, one a queue.
CREATE FUNCTION queen.add_metrics(
  p_instance text, p_hostname text, p_pid int, p_port int, p_ago_ms bigint,
  p_counts jsonb, p_gauges jsonb, p_samples int, p_queues jsonb
) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  v_at constant timestamptz := clock_timestamp() - p_ago_ms * interval '1 millisecond';
BEGIN
  INSERT INTO queen.instance_metrics AS m (step, bucket, instance_id, hostname, pid, port, counts, gauges, samples)
  SELECT s.step, CASE WHEN s.step = 0 THEN 'epoch' ELSE date_bin(s.step * interval '1 minute', v_at, 'epoch') END,
         p_instance, p_hostname, p_pid, p_port, p_counts, CASE WHEN s.step = 0 THEN '{}' ELSE p_gauges END, p_samples
    FROM unnest(ARRAY[0, 1, 15, 60, 1440]) AS s (step)
  ON CONFLICT (step, bucket, instance_id) DO UPDATE
     SET counts = queen.merged_counts(m.counts, excluded.counts), gauges = queen.merged_gauges(m.gauges, excluded.gauges),
         samples = m.samples + excluded.samples, hostname = excluded.hostname, pid = excluded.pid, port = excluded.port,
         updated_at = clock_timestamp();

  INSERT INTO queen.queue_metrics AS m (
    step, queue_id, bucket, instance_id, push_requests, push_messages, pop_requests, pop_messages, pop_empty, ack_requests,
    ack_success, ack_failed, transactions, dead_letters, lag_ms_sum, lag_ms_max, parked_ms, retention_messages,
    completed_retention_messages, eviction_messages, removal_events, partitions, partitions_created, partitions_deleted)
  SELECT s.step, q.id, date_bin(s.step * interval '1 minute', v_at, 'epoch'), p_instance, c."pushRequests", c."pushMessages",
         c."popRequests", c."popMessages", c."popEmpty", c."ackRequests", c."ackSuccess", c."ackFailed", c.transactions,
         c."deadLetters", c."lagMsSum", c."lagMsMax", c."parkedMs", c."retentionMessages", c."completedRetentionMessages",
         c."evictionMessages", c."removalEvents", c.partitions, c."partitionsCreated", c."partitionsDeleted"
    FROM jsonb_to_recordset(p_queues) AS c (
           queue text, "pushRequests" bigint, "pushMessages" bigint, "popRequests" bigint, "popMessages" bigint,
           "popEmpty" bigint, "ackRequests" bigint, "ackSuccess" bigint, "ackFailed" bigint, transactions bigint,
           "deadLetters" bigint, "lagMsSum" bigint, "lagMsMax" bigint, "parkedMs" bigint, "retentionMessages" bigint,
           "completedRetentionMessages" bigint, "evictionMessages" bigint, "removalEvents" bigint, partitions bigint,
           "partitionsCreated" bigint, "partitionsDeleted" bigint)
    JOIN queen.queues q ON q.name = c.queue
   CROSS JOIN unnest(ARRAY[1, 15, 60, 1440]) AS s (step)
   ORDER BY s.step, q.id
  ON CONFLICT (step, queue_id, bucket, instance_id) DO UPDATE
     SET push_requests = m.push_requests + excluded.push_requests, push_messages = m.push_messages + excluded.push_messages,
         pop_requests = m.pop_requests + excluded.pop_requests, pop_messages = m.pop_messages + excluded.pop_messages,
         pop_empty = m.pop_empty + excluded.pop_empty, ack_requests = m.ack_requests + excluded.ack_requests,
         ack_success = m.ack_success + excluded.ack_success, ack_failed = m.ack_failed + excluded.ack_failed,
         transactions = m.transactions + excluded.transactions, dead_letters = m.dead_letters + excluded.dead_letters,
         lag_ms_sum = m.lag_ms_sum + excluded.lag_ms_sum, lag_ms_max = greatest(m.lag_ms_max, excluded.lag_ms_max),
         parked_ms = m.parked_ms + excluded.parked_ms,
         retention_messages = m.retention_messages + excluded.retention_messages,
         completed_retention_messages = m.completed_retention_messages + excluded.completed_retention_messages,
         eviction_messages = m.eviction_messages + excluded.eviction_messages,
         removal_events = m.removal_events + excluded.removal_events,
         partitions = coalesce(excluded.partitions, m.partitions),
         partitions_created = m.partitions_created + excluded.partitions_created,
         partitions_deleted = m.partitions_deleted + excluded.partitions_deleted;
END
$$;

-- Deletes what is older than its step width is kept for, at most p_limit rows of each table. Whether there may be more.
CREATE FUNCTION queen.expire_metrics(p_minutes_kept interval, p_quarters_kept interval, p_hours_kept interval, p_limit int)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
  v_gone bigint := 0;
  v_rows bigint;
  s      record;
BEGIN
  FOR s IN SELECT * FROM (VALUES (1, p_minutes_kept), (15, p_quarters_kept), (60, p_hours_kept), (1440, p_hours_kept)) AS v (step, kept) LOOP
    DELETE FROM queen.queue_metrics m WHERE m.ctid = ANY (ARRAY(
      SELECT o.ctid FROM queen.queue_metrics o
       WHERE o.step = s.step AND o.bucket < clock_timestamp() - s.kept ORDER BY o.bucket LIMIT p_limit));
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_gone := greatest(v_gone, v_rows);
    DELETE FROM queen.instance_metrics m WHERE m.step = s.step AND m.bucket < clock_timestamp() - s.kept;
  END LOOP;
  RETURN v_gone >= p_limit;
END
$$;
