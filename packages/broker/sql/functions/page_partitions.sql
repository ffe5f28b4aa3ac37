-- The next partitions in (queue, name) order, of all queues (p_queues NULL) or of these.
CREATE FUNCTION queen.page_partitions(p_queues uuid[], p_after_queue uuid, p_after_name text, p_limit int)
RETURNS TABLE (
  id uuid, queue_id uuid, name text, start_offset bigint, next_offset bigint, last_pushed_at timestamptz
)
LANGUAGE plpgsql STABLE ROWS 2000
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
  IF p_queues IS NULL THEN
    RETURN QUERY
      SELECT p.id, p.queue_id, p.name, p.start_offset, p.next_offset, p.last_pushed_at FROM queen.partitions p
       WHERE (p.queue_id, p.name) > (p_after_queue, p_after_name) ORDER BY p.queue_id, p.name LIMIT p_limit;
  ELSE
    RETURN QUERY
      SELECT p.id, p.queue_id, p.name, p.start_offset, p.next_offset, p.last_pushed_at FROM queen.partitions p
       WHERE p.queue_id = ANY (p_queues) AND (p.queue_id, p.name) > (p_after_queue, p_after_name)
       ORDER BY p.queue_id, p.name LIMIT p_limit;
  END IF;
END
$$;
