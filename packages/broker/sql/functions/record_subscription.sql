-- Records where a group starts on a queue, at its first pop; a later call changes nothing. Returns what is in force.
-- 'new' begins when that pop arrived: p_ago_ms before now by the database's clock.
CREATE FUNCTION queen.record_subscription(p_queue text, p_group text, p_mode text, p_from timestamptz, p_ago_ms bigint)
RETURNS TABLE (mode text, starts_at timestamptz)
LANGUAGE plpgsql
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT c.mode, c.starts_at FROM queen.consumer_groups c WHERE c.queue_name = p_queue AND c.group_name = p_group;
  IF NOT FOUND THEN
    INSERT INTO queen.consumer_groups (queue_name, group_name, mode, starts_at)
    VALUES (p_queue, p_group, p_mode,
            CASE p_mode WHEN 'new' THEN clock_timestamp() - p_ago_ms * interval '1 millisecond'
                        WHEN 'timestamp' THEN p_from END)
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT c.mode, c.starts_at FROM queen.consumer_groups c WHERE c.queue_name = p_queue AND c.group_name = p_group;
  END IF;
END
$$;
