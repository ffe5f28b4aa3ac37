-- Deletes one message for good, leased or not: no group gets it any more, its dead letters and traces go, and p_body
-- (the segment's body with the payload blanked) takes its bytes off the disk. The key stays: it is dedup evidence.
-- p_before is the SHA-256 of the body that p_body was made of; without a segment all three are NULL.
-- deleted | missing (the partition) | changed (the segment's body is another one by now; nothing was done)
CREATE FUNCTION queen.delete_message(
  p_partition uuid, p_transaction text, p_offset bigint, p_first_offset bigint, p_before bytea, p_body bytea
) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
  v_offset constant int8multirange := int8multirange(int8range(p_offset, p_offset + 1));
  v_start  bigint;
  v_group  text;
BEGIN
  -- Cursors that are being made or moved without knowing of the deletion are there after this; later ones know of it.
  PERFORM pg_advisory_xact_lock(queen.new_cursors_key());
  -- Cursors before partitions, each in its order, as transactions lock them.
  PERFORM FROM queen.cursors k WHERE k.partition_id = p_partition ORDER BY k.group_name COLLATE "C" FOR UPDATE;
  SELECT p.start_offset INTO v_start FROM queen.partitions p WHERE p.id = p_partition FOR UPDATE;
  IF v_start IS NULL THEN
    RETURN 'missing';
  END IF;
  IF EXISTS (SELECT FROM queen.segments s
              WHERE s.partition_id = p_partition AND s.first_offset = p_first_offset AND sha256(s.body) <> p_before) THEN
    RETURN 'changed';
  END IF;
  DELETE FROM queen.dead_letters d WHERE d.partition_id = p_partition AND d.message_offset = p_offset;
  PERFORM queen.delete_traces(ARRAY[p_partition], p_transaction);
  INSERT INTO queen.tombstones AS t (partition_id, offsets) VALUES (p_partition, v_offset)
  ON CONFLICT (partition_id) DO UPDATE SET offsets = (t.offsets + v_offset) * int8multirange(int8range(v_start, NULL));
  FOR v_group IN
    SELECT k.group_name FROM queen.cursors k WHERE k.partition_id = p_partition AND k.committed <= p_offset
  LOOP
    PERFORM queen.finish_offsets(p_partition, v_group, v_offset);
  END LOOP;
  UPDATE queen.segments s SET body = p_body WHERE s.partition_id = p_partition AND s.first_offset = p_first_offset;
  RETURN 'deleted';
END
$$;
