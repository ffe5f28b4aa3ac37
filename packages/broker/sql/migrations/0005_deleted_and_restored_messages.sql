-- Single messages that leave or come back out of turn. Segments are never cut, so both are sets beside them; both are
-- small, and only what creates cursors or shows messages reads them.

-- Messages that were deleted one by one. Existing cursors have them as finished, new cursors start with them finished.
CREATE TABLE queen.tombstones (
  partition_id uuid PRIMARY KEY,
  offsets      int8multirange NOT NULL
);

-- Dead letters that were made available again after retention had taken their segments: they have a segment of their
-- own below the others, for the groups that asked. New cursors start with [message_offset, hidden_to) finished.
CREATE TABLE queen.restored_messages (
  partition_id   uuid NOT NULL,
  message_offset bigint NOT NULL,
  hidden_to      bigint NOT NULL,
  restored_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (partition_id, message_offset)
);

-- To find the dead letters of one message.
CREATE INDEX dead_letters_message ON queen.dead_letters (partition_id, transaction_id);
