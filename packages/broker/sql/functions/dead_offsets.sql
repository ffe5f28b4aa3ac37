-- Which of the offsets a group has dead-lettered in a partition, as the text of a multirange.
CREATE FUNCTION queen.dead_offsets(p_partition uuid, p_group text, p_offsets int8multirange) RETURNS text
LANGUAGE sql STABLE STRICT
AS $$
  SELECT coalesce(range_agg(int8range(d.message_offset, d.message_offset + 1))::text, '{}')
    FROM queen.dead_letters d
   WHERE d.partition_id = p_partition AND d.group_name = p_group
     AND d.message_offset BETWEEN lower(p_offsets) AND upper(p_offsets) - 1 AND d.message_offset <@ p_offsets
$$;
