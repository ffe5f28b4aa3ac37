-- Stores one trace of a message, with its names; false when the partition does not exist.
CREATE FUNCTION queen.record_trace(
  p_id uuid, p_partition uuid, p_offset bigint, p_transaction text, p_group text, p_event_type text, p_data text,
  p_names text[], p_worker text
) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
  v_at constant timestamptz := clock_timestamp();
BEGIN
  PERFORM FROM queen.partitions p WHERE p.id = p_partition FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO queen.traces (id, partition_id, message_offset, transaction_id, group_name, event_type, data, names, worker_id, created_at)
  VALUES (p_id, p_partition, p_offset, p_transaction, p_group, p_event_type, p_data, p_names, p_worker, v_at);
  INSERT INTO queen.trace_links (name, created_at, trace_id) SELECT n.name, v_at, p_id FROM unnest(p_names) AS n (name);
  -- In name order, so that two records with the same names wait for each other instead of deadlocking.
  WITH fresh AS (
    INSERT INTO queen.trace_messages (name, partition_id, transaction_id)
    SELECT n.name, p_partition, p_transaction FROM unnest(p_names) AS n (name) ORDER BY n.name
    ON CONFLICT DO NOTHING RETURNING name
  )
  INSERT INTO queen.trace_names AS t (name, trace_count, message_count, last_seen)
  SELECT n.name, 1, (SELECT count(*) FROM fresh f WHERE f.name = n.name), v_at FROM unnest(p_names) AS n (name) ORDER BY n.name
  ON CONFLICT (name) DO UPDATE
     SET trace_count = t.trace_count + 1, message_count = t.message_count + excluded.message_count,
         last_seen = greatest(t.last_seen, excluded.last_seen);
  RETURN true;
END
$$;

-- Deletes traces by id, and what is counted of them. How many.
CREATE FUNCTION queen.delete_traces_by_id(p_ids uuid[]) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
  v_names        text[];
  v_partitions   uuid[];
  v_transactions text[];
  v_count        bigint;
BEGIN
  WITH gone AS (
    DELETE FROM queen.traces t WHERE t.id = ANY (p_ids)
    RETURNING t.id, t.created_at, t.names, t.partition_id, t.transaction_id
  ), named AS (
    SELECT g.*, n.name FROM gone g CROSS JOIN LATERAL unnest(g.names) AS n (name)
  ), unlinked AS (
    DELETE FROM queen.trace_links l USING named n
     WHERE l.name = n.name AND l.created_at = n.created_at AND l.trace_id = n.id
  )
  SELECT (SELECT count(*) FROM gone), array_agg(n.name), array_agg(n.partition_id), array_agg(n.transaction_id)
    INTO v_count, v_names, v_partitions, v_transactions FROM named n;
  IF v_names IS NULL THEN
    RETURN v_count;
  END IF;
  -- The names are locked in order before anything is counted down.
  PERFORM FROM queen.trace_names t WHERE t.name = ANY (v_names) ORDER BY t.name FOR UPDATE;
  WITH named AS (
    SELECT DISTINCT u.name, u.partition_id, u.transaction_id
      FROM unnest(v_names, v_partitions, v_transactions) AS u (name, partition_id, transaction_id)
  ), forgotten AS (
    DELETE FROM queen.trace_messages m USING named n
     WHERE m.name = n.name AND m.partition_id = n.partition_id AND m.transaction_id = n.transaction_id
       AND NOT EXISTS (SELECT FROM queen.traces t WHERE t.partition_id = n.partition_id
                          AND t.transaction_id = n.transaction_id AND n.name = ANY (t.names))
    RETURNING m.name
  )
  UPDATE queen.trace_names t
     SET trace_count = t.trace_count - (SELECT count(*) FROM unnest(v_names) AS u (name) WHERE u.name = t.name),
         message_count = t.message_count - (SELECT count(*) FROM forgotten f WHERE f.name = t.name)
   WHERE t.name = ANY (v_names);
  DELETE FROM queen.trace_names t WHERE t.name = ANY (v_names) AND t.trace_count <= 0;
  RETURN v_count;
END
$$;

-- Deletes the traces of whole partitions, or of one message of them.
CREATE FUNCTION queen.delete_traces(p_partitions uuid[], p_transaction text) RETURNS bigint
LANGUAGE sql
AS $$
  SELECT queen.delete_traces_by_id(ARRAY(
    SELECT t.id FROM queen.traces t
     WHERE t.partition_id = ANY (p_partitions) AND (p_transaction IS NULL OR t.transaction_id = p_transaction)))
$$;

-- Deletes traces older than p_before whose message is gone, at most p_limit. How many.
CREATE FUNCTION queen.expire_traces(p_before timestamptz, p_limit int) RETURNS bigint
LANGUAGE sql
AS $$
  SELECT queen.delete_traces_by_id(ARRAY(
    SELECT t.id FROM queen.traces t LEFT JOIN queen.partitions p ON p.id = t.partition_id
     WHERE t.created_at < p_before AND (p.id IS NULL OR t.message_offset < p.start_offset)
     ORDER BY t.created_at LIMIT p_limit))
$$;
