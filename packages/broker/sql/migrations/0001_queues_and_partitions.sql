-- Queues, partitions, segments, cursors. The hot tables (partitions, segments, cursors) have no foreign keys and no
-- triggers, and are reached by partition_id first, so that a distributed PostgreSQL can shard them.

CREATE TABLE queen.queues (
  id         uuid PRIMARY KEY,
  name       text NOT NULL UNIQUE,
  namespace  text NOT NULL,
  task       text NOT NULL,
  -- Only the options that differ from the default of the protocol's table are stored.
  options    jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX queues_namespace_task ON queen.queues (namespace, task);

CREATE TABLE queen.partitions (
  id             uuid PRIMARY KEY,
  queue_id       uuid NOT NULL,
  name           text NOT NULL,
  -- The offset the next message gets; allocated under this row's lock in the transaction that inserts the segment.
  next_offset    bigint NOT NULL DEFAULT 0,
  -- Messages below it were removed (retention, clear).
  start_offset   bigint NOT NULL DEFAULT 0,
  last_pushed_at timestamptz,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (queue_id, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE TABLE queen.segments (
  partition_id uuid NOT NULL,
  first_offset bigint NOT NULL,
  last_offset  bigint NOT NULL,
  -- clock_timestamp() taken under the partition's row lock: createdAt of every message in the segment.
  created_at   timestamptz NOT NULL,
  -- Message id of the first message; message k has this id + k (see engine/message-id.ts).
  id_base      uuid NOT NULL,
  -- One codec byte, then frames (see engine/frame.ts).
  body         bytea NOT NULL,
  -- 16 bytes a message, in frame order: the key of its transactionId (see engine/transaction-key.ts).
  keys         bytea NOT NULL,
  -- Drained messages only: 8 bytes a message, big-endian microseconds since 1970, when the buffer accepted it.
  accepted     bytea,
  PRIMARY KEY (partition_id, first_offset)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE queen.segments ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE queen.segments ALTER COLUMN keys SET STORAGE EXTERNAL;
ALTER TABLE queen.segments ALTER COLUMN accepted SET STORAGE EXTERNAL;

CREATE TABLE queen.consumer_groups (
  queue_name   text NOT NULL,
  group_name   text NOT NULL,
  -- all | new | timestamp; where the group starts on a partition it has not read yet.
  mode         text NOT NULL,
  starts_at    timestamptz,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (queue_name, group_name)
);

CREATE TABLE queen.cursors (
  partition_id     uuid NOT NULL,
  group_name       text NOT NULL,
  -- Every offset below it is finished (completed or dead-lettered) for the group.
  committed        bigint NOT NULL DEFAULT 0,
  -- Offsets at or above committed that are finished too.
  acked            int8multirange NOT NULL DEFAULT '{}',
  -- The latest lease. It is live while lease_until lies ahead; when its last message is resolved, lease_until becomes
  -- NULL and the rest stays until the next claim, so that a repeated ack can still be told what became of the first.
  lease_id         text,
  -- Equal to lease_id where the lease spans several partitions, else NULL. A column of its own, so that claims of one
  -- partition change no indexed column and stay heap-only updates.
  shared_lease_id  text,
  lease_until      timestamptz,
  leased_at        timestamptz,
  -- Offsets the lease was given. It still holds those that are neither finished nor released.
  leased           int8multirange NOT NULL DEFAULT '{}',
  -- Offsets of the lease that were answered failed or retry: resolved, but not finished.
  released         int8multirange NOT NULL DEFAULT '{}',
  -- Those of them that were answered failed.
  released_failed  int8multirange NOT NULL DEFAULT '{}',
  -- {"<offset>": failed acks so far} of unfinished messages.
  failures         jsonb NOT NULL DEFAULT '{}',
  -- No delivery before this time (retryDelay).
  paused_until     timestamptz,
  completed_count  bigint NOT NULL DEFAULT 0,
  failed_count     bigint NOT NULL DEFAULT 0,
  batch_count      bigint NOT NULL DEFAULT 0,
  last_consumed_at timestamptz,
  PRIMARY KEY (partition_id, group_name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- A lease of one partition names it in its id (see engine/lease-id.ts); one of several is found here.
CREATE INDEX cursors_shared_lease ON queen.cursors (shared_lease_id) WHERE shared_lease_id IS NOT NULL;

CREATE TABLE queen.dead_letters (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  partition_id  uuid NOT NULL,
  group_name    text NOT NULL,
  message_offset bigint NOT NULL,
  queue_id      uuid NOT NULL,
  message_id    uuid NOT NULL,
  transaction_id text NOT NULL,
  -- Own copy of the message's frame (see engine/frame.ts): retention cannot take it away.
  frame         bytea NOT NULL,
  error_message text,
  -- Failed acks before the one that brought it here.
  retry_count   integer NOT NULL,
  created_at    timestamptz NOT NULL,
  failed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (partition_id, group_name, message_offset)
);
CREATE INDEX dead_letters_queue_failed_at ON queen.dead_letters (queue_id, failed_at DESC, id DESC);
CREATE INDEX dead_letters_failed_at ON queen.dead_letters (failed_at DESC, id DESC);
