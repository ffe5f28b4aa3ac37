-- What consumers recorded about messages. Append-only; a record goes with its message's queue or partition, or when it
-- has outlived both its message and the retention of traces.

CREATE TABLE queen.traces (
  id             uuid PRIMARY KEY,
  partition_id   uuid NOT NULL,
  message_offset bigint NOT NULL,
  transaction_id text NOT NULL,
  group_name     text NOT NULL,
  event_type     text NOT NULL,
  -- JSON text as it came; never parsed again.
  data           text NOT NULL,
  names          text[] NOT NULL,
  worker_id      text,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX traces_message ON queen.traces (partition_id, transaction_id, created_at);
CREATE INDEX traces_created_at ON queen.traces (created_at);

-- One row for each name of a trace.
CREATE TABLE queen.trace_links (
  name         text NOT NULL,
  created_at   timestamptz NOT NULL,
  trace_id     uuid NOT NULL,
  PRIMARY KEY (name, created_at, trace_id)
);

-- Which messages a name was seen on; what makes message_count exact without counting.
CREATE TABLE queen.trace_messages (
  name           text NOT NULL,
  partition_id   uuid NOT NULL,
  transaction_id text NOT NULL,
  PRIMARY KEY (name, partition_id, transaction_id)
);

CREATE TABLE queen.trace_names (
  name          text PRIMARY KEY,
  trace_count   bigint NOT NULL,
  message_count bigint NOT NULL,
  last_seen     timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX trace_names_last_seen ON queen.trace_names (last_seen DESC, name);
