-- Which of the offsets are messages that are not there any more, as the text of a multirange: deleted, or removed with
-- everything before them and not in p_spared (what a lease was given: retention takes no answer back). NULL when the
-- partition itself is gone.
CREATE FUNCTION queen.gone_offsets(p_partition uuid, p_offsets int8multirange, p_spared int8multirange) RETURNS text
LANGUAGE sql STABLE STRICT
AS $$
  SELECT (p_offsets * coalesce((SELECT t.offsets FROM queen.tombstones t WHERE t.partition_id = p_partition), '{}')
          + ((p_offsets - p_spared) * int8multirange(int8range(NULL, p.start_offset))
             - coalesce((SELECT range_agg(int8range(r.message_offset, r.message_offset + 1)) FROM queen.restored_messages r
                          WHERE r.partition_id = p_partition AND r.message_offset <@ p_offsets), '{}')))::text
    FROM queen.partitions p WHERE p.id = p_partition
$$;
