-- Sets records aside; those that are there already are left as they are. How many were new.
--
-- Bodies lie back to back in p_blob; p_ends says where each ends.
CREATE FUNCTION queen.quarantine_records(
  p_instance       text,
  p_ids            text[],
  p_queues         text[],
  p_numbers        bigint[],
  p_last_numbers   bigint[],
  p_files          text[],
  p_offsets        bigint[],
  p_accepted       bigint[],
  p_quarantined    bigint[],
  p_flags          int[],
  p_attempts       int[],
  p_reasons        text[],
  p_errors         text[],
  p_sql_states     text[],
  p_bytes          bigint[],
  p_ends           int[],
  p_blob           bytea
) RETURNS bigint
LANGUAGE sql
SET search_path = ''
AS $$
  WITH given AS MATERIALIZED (
    SELECT u.*, coalesce(pg_catalog.lag(u.body_end) OVER (ORDER BY u.ordinal), 0) AS body_start
      FROM ROWS FROM (pg_catalog.unnest(p_ids), pg_catalog.unnest(p_queues), pg_catalog.unnest(p_numbers),
                      pg_catalog.unnest(p_last_numbers), pg_catalog.unnest(p_files), pg_catalog.unnest(p_offsets),
                      pg_catalog.unnest(p_accepted), pg_catalog.unnest(p_quarantined), pg_catalog.unnest(p_flags),
                      pg_catalog.unnest(p_attempts), pg_catalog.unnest(p_reasons), pg_catalog.unnest(p_errors),
                      pg_catalog.unnest(p_sql_states), pg_catalog.unnest(p_bytes), pg_catalog.unnest(p_ends))
           WITH ORDINALITY AS u (id, queue, number, last_number, file, file_offset, accepted, quarantined, flags,
                                 attempts, reason, error, sql_state, bytes, body_end, ordinal)
  ), added AS (
    INSERT INTO queen.quarantined_records (id, instance_id, queue, record_number, last_number, file, file_offset,
      accepted_at, quarantined_at, flags, attempts, reason, error, sql_state, bytes, body)
    SELECT g.id, p_instance, g.queue, g.number, g.last_number, g.file, g.file_offset, g.accepted, g.quarantined, g.flags,
           g.attempts, g.reason, g.error, g.sql_state, g.bytes,
           pg_catalog.substring(p_blob, g.body_start + 1, g.body_end - g.body_start)
      FROM given g ORDER BY g.ordinal
        ON CONFLICT (id) DO NOTHING
    RETURNING queue
  ), counted AS (
    -- In one order, so that two drains cannot wait for each other.
    INSERT INTO queen.quarantine_counts AS c (instance_id, queue, records)
    SELECT p_instance, a.queue, pg_catalog.count(*) FROM added a GROUP BY a.queue ORDER BY a.queue
        ON CONFLICT (instance_id, queue) DO UPDATE SET records = c.records + excluded.records
    RETURNING 1
  )
  SELECT pg_catalog.count(*) FROM added WHERE (SELECT pg_catalog.count(*) FROM counted) >= 0
$$;

-- Whether the record was there.
CREATE FUNCTION queen.drop_quarantined(p_id text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
  v_instance text;
  v_queue    text;
BEGIN
  DELETE FROM queen.quarantined_records r WHERE r.id = p_id RETURNING r.instance_id, r.queue INTO v_instance, v_queue;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE queen.quarantine_counts c SET records = c.records - 1 WHERE c.instance_id = v_instance AND c.queue = v_queue;
  DELETE FROM queen.quarantine_counts c WHERE c.instance_id = v_instance AND c.queue = v_queue AND c.records <= 0;
  RETURN true;
END
$$;
