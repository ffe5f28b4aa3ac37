-- Buffered records that could not be stored: refused, unreadable, or of a queue deleted meanwhile. They are set aside in
-- the transaction that moves the drain past them, and stay until an operator acts (docs/decisions/quarantine.md).

CREATE TABLE queen.quarantined_records (
  seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Buffer id and record number: a record found again is the same row.
  id             text NOT NULL UNIQUE,
  -- Who set it aside.
  instance_id    text NOT NULL,
  -- '' = not readable.
  queue          text NOT NULL,
  record_number  bigint,
  last_number    bigint,
  file           text,
  file_offset    bigint,
  -- Microseconds since 1970.
  accepted_at    bigint,
  quarantined_at bigint NOT NULL,
  flags          integer,
  attempts       integer NOT NULL,
  reason         text NOT NULL,
  error          text NOT NULL,
  sql_state      text,
  bytes          bigint NOT NULL,
  -- As it lay in the buffer: encrypted payloads stay encrypted.
  body           bytea NOT NULL
);
ALTER TABLE queen.quarantined_records ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX quarantined_records_queue ON queen.quarantined_records (queue, seq);
CREATE INDEX quarantined_records_instance ON queen.quarantined_records (instance_id, seq);

-- How many there are; moves in the same transactions. Counting millions at every heartbeat would not do.
CREATE TABLE queen.quarantine_counts (
  instance_id text NOT NULL,
  queue       text NOT NULL,
  records     bigint NOT NULL,
  PRIMARY KEY (instance_id, queue)
) WITH (fillfactor = 50);

-- What is not known (yet) is NULL, never 0.
ALTER TABLE queen.maintenance_windows
  ALTER COLUMN buffered_messages DROP NOT NULL, ALTER COLUMN buffered_messages DROP DEFAULT,
  ALTER COLUMN buffered_bytes DROP NOT NULL, ALTER COLUMN buffered_bytes DROP DEFAULT,
  ALTER COLUMN drained_messages DROP NOT NULL, ALTER COLUMN drained_messages DROP DEFAULT,
  ALTER COLUMN quarantined_messages DROP NOT NULL, ALTER COLUMN quarantined_messages DROP DEFAULT;
-- Nobody ever wrote the bytes down.
UPDATE queen.maintenance_windows SET buffered_bytes = NULL;
