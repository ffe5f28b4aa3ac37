-- The tables after all migrations, read from the catalogs of a real server. Executed by nothing: a test compares
-- it, so that a change of the schema is seen in review. Written anew by
--   npx vitest run packages/broker/test/store/schema.test.ts -u

CREATE TABLE queen.buffer_progress (
  buffer_id text NOT NULL,
  drained_through bigint NOT NULL,
  updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT buffer_progress_pkey PRIMARY KEY (buffer_id)
) WITH (fillfactor=50);

CREATE TABLE queen.consumer_groups (
  queue_name text NOT NULL,
  group_name text NOT NULL,
  mode text NOT NULL,
  starts_at timestamp with time zone,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT consumer_groups_pkey PRIMARY KEY (queue_name, group_name)
);

CREATE TABLE queen.cursors (
  partition_id uuid NOT NULL,
  group_name text NOT NULL,
  committed bigint NOT NULL DEFAULT 0,
  acked int8multirange NOT NULL DEFAULT '{}'::int8multirange,
  lease_id text,
  shared_lease_id text,
  lease_until timestamp with time zone,
  leased_at timestamp with time zone,
  leased int8multirange NOT NULL DEFAULT '{}'::int8multirange,
  released int8multirange NOT NULL DEFAULT '{}'::int8multirange,
  released_failed int8multirange NOT NULL DEFAULT '{}'::int8multirange,
  failures jsonb NOT NULL DEFAULT '{}'::jsonb,
  paused_until timestamp with time zone,
  completed_count bigint NOT NULL DEFAULT 0,
  failed_count bigint NOT NULL DEFAULT 0,
  batch_count bigint NOT NULL DEFAULT 0,
  last_consumed_at timestamp with time zone,
  CONSTRAINT cursors_pkey PRIMARY KEY (partition_id, group_name)
) WITH (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=500);
CREATE INDEX cursors_shared_lease ON queen.cursors USING btree (shared_lease_id) WHERE (shared_lease_id IS NOT NULL);

CREATE TABLE queen.dead_letters (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  partition_id uuid NOT NULL,
  group_name text NOT NULL,
  message_offset bigint NOT NULL,
  queue_id uuid NOT NULL,
  message_id uuid NOT NULL,
  transaction_id text NOT NULL,
  frame bytea NOT NULL,
  error_message text,
  retry_count integer NOT NULL,
  created_at timestamp with time zone NOT NULL,
  failed_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT dead_letters_partition_id_group_name_message_offset_key UNIQUE (partition_id, group_name, message_offset),
  CONSTRAINT dead_letters_pkey PRIMARY KEY (id)
);
CREATE INDEX dead_letters_failed_at ON queen.dead_letters USING btree (failed_at DESC, id DESC);
CREATE INDEX dead_letters_message ON queen.dead_letters USING btree (partition_id, transaction_id);
CREATE INDEX dead_letters_queue_failed_at ON queen.dead_letters USING btree (queue_id, failed_at DESC, id DESC);

CREATE TABLE queen.deleted_queues (
  name text NOT NULL,
  deleted_at timestamp with time zone NOT NULL,
  CONSTRAINT deleted_queues_pkey PRIMARY KEY (name)
);

CREATE TABLE queen.drain_members (
  instance_id text NOT NULL,
  serial bigint NOT NULL,
  epoch bigint NOT NULL,
  frontier bigint NOT NULL,
  pending bigint NOT NULL,
  closing boolean NOT NULL,
  gated boolean NOT NULL,
  drained bigint NOT NULL,
  set_aside bigint NOT NULL,
  seen_at timestamp with time zone NOT NULL,
  CONSTRAINT drain_members_pkey PRIMARY KEY (instance_id)
) WITH (fillfactor=50);

CREATE TABLE queen.function_sets (
  version text NOT NULL,
  installed_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT function_sets_pkey PRIMARY KEY (version)
);

CREATE TABLE queen.instance_metrics (
  step smallint NOT NULL,
  bucket timestamp with time zone NOT NULL,
  instance_id text NOT NULL,
  hostname text NOT NULL,
  pid integer NOT NULL,
  port integer NOT NULL,
  updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  counts jsonb NOT NULL,
  gauges jsonb NOT NULL,
  samples integer NOT NULL,
  CONSTRAINT instance_metrics_pkey PRIMARY KEY (step, bucket, instance_id)
) WITH (fillfactor=70);

CREATE TABLE queen.instances (
  id text NOT NULL,
  hostname text NOT NULL,
  pid integer NOT NULL,
  started_at timestamp with time zone NOT NULL,
  last_seen_at timestamp with time zone NOT NULL,
  report jsonb NOT NULL DEFAULT '{}'::jsonb,
  CONSTRAINT instances_pkey PRIMARY KEY (id)
) WITH (fillfactor=50);

CREATE TABLE queen.maintenance_windows (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  kind text NOT NULL,
  instance_id text,
  started_at timestamp with time zone NOT NULL,
  safe_at timestamp with time zone,
  ended_at timestamp with time zone,
  drained_at timestamp with time zone,
  reason text,
  started_by text,
  ended_by text,
  buffered_messages bigint,
  buffered_bytes bigint,
  drained_messages bigint,
  quarantined_messages bigint,
  CONSTRAINT maintenance_windows_pkey PRIMARY KEY (id)
);
CREATE INDEX maintenance_windows_started_at ON queen.maintenance_windows USING btree (started_at DESC);

CREATE TABLE queen.partitions (
  id uuid NOT NULL,
  queue_id uuid NOT NULL,
  name text NOT NULL,
  next_offset bigint NOT NULL DEFAULT 0,
  start_offset bigint NOT NULL DEFAULT 0,
  last_pushed_at timestamp with time zone,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT partitions_pkey PRIMARY KEY (id),
  CONSTRAINT partitions_queue_id_name_key UNIQUE (queue_id, name)
) WITH (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=500);

CREATE TABLE queen.purges (
  partition_id uuid NOT NULL,
  before_offset bigint,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT purges_pkey PRIMARY KEY (partition_id)
);

CREATE TABLE queen.quarantine_counts (
  instance_id text NOT NULL,
  queue text NOT NULL,
  records bigint NOT NULL,
  CONSTRAINT quarantine_counts_pkey PRIMARY KEY (instance_id, queue)
) WITH (fillfactor=50);

CREATE TABLE queen.quarantined_records (
  seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  id text NOT NULL,
  instance_id text NOT NULL,
  queue text NOT NULL,
  record_number bigint,
  last_number bigint,
  file text,
  file_offset bigint,
  accepted_at bigint,
  quarantined_at bigint NOT NULL,
  flags integer,
  attempts integer NOT NULL,
  reason text NOT NULL,
  error text NOT NULL,
  sql_state text,
  bytes bigint NOT NULL,
  body bytea NOT NULL STORAGE EXTERNAL,
  CONSTRAINT quarantined_records_id_key UNIQUE (id),
  CONSTRAINT quarantined_records_pkey PRIMARY KEY (seq)
);
CREATE INDEX quarantined_records_instance ON queen.quarantined_records USING btree (instance_id, seq);
CREATE INDEX quarantined_records_queue ON queen.quarantined_records USING btree (queue, seq);

CREATE TABLE queen.queue_metrics (
  step smallint NOT NULL,
  queue_id uuid NOT NULL,
  bucket timestamp with time zone NOT NULL,
  instance_id text NOT NULL,
  push_requests bigint NOT NULL,
  push_messages bigint NOT NULL,
  pop_requests bigint NOT NULL,
  pop_messages bigint NOT NULL,
  pop_empty bigint NOT NULL,
  ack_requests bigint NOT NULL,
  ack_success bigint NOT NULL,
  ack_failed bigint NOT NULL,
  transactions bigint NOT NULL,
  dead_letters bigint NOT NULL,
  lag_ms_sum bigint NOT NULL,
  lag_ms_max bigint NOT NULL,
  parked_ms bigint NOT NULL,
  retention_messages bigint NOT NULL,
  completed_retention_messages bigint NOT NULL,
  eviction_messages bigint NOT NULL,
  removal_events bigint NOT NULL,
  partitions bigint,
  partitions_created bigint NOT NULL,
  partitions_deleted bigint NOT NULL,
  CONSTRAINT queue_metrics_pkey PRIMARY KEY (step, queue_id, bucket, instance_id)
) WITH (fillfactor=70);
CREATE INDEX queue_metrics_bucket ON queen.queue_metrics USING btree (step, bucket);

CREATE TABLE queen.queues (
  id uuid NOT NULL,
  name text NOT NULL,
  namespace text NOT NULL,
  task text NOT NULL,
  options jsonb NOT NULL DEFAULT '{}'::jsonb,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT queues_name_key UNIQUE (name),
  CONSTRAINT queues_pkey PRIMARY KEY (id)
);
CREATE INDEX queues_namespace_task ON queen.queues USING btree (namespace, task);

CREATE TABLE queen.restored_messages (
  partition_id uuid NOT NULL,
  message_offset bigint NOT NULL,
  hidden_to bigint NOT NULL,
  restored_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT restored_messages_pkey PRIMARY KEY (partition_id, message_offset)
);

CREATE TABLE queen.schema_migrations (
  version integer NOT NULL,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT schema_migrations_pkey PRIMARY KEY (version)
);

CREATE TABLE queen.segments (
  partition_id uuid NOT NULL,
  first_offset bigint NOT NULL,
  last_offset bigint NOT NULL,
  created_at timestamp with time zone NOT NULL,
  id_base uuid NOT NULL,
  body bytea NOT NULL STORAGE EXTERNAL,
  keys bytea NOT NULL STORAGE EXTERNAL,
  accepted bytea STORAGE EXTERNAL,
  CONSTRAINT segments_pkey PRIMARY KEY (partition_id, first_offset)
) WITH (autovacuum_vacuum_insert_scale_factor=0.1, autovacuum_vacuum_scale_factor=0.05);
CREATE INDEX segments_created_at ON queen.segments USING btree (created_at);

CREATE TABLE queen.staged_records (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  buffer_id text NOT NULL,
  first_number bigint NOT NULL,
  last_number bigint NOT NULL,
  taken_through bigint NOT NULL,
  oldest bigint NOT NULL,
  latest bigint NOT NULL,
  body bytea NOT NULL STORAGE EXTERNAL,
  CONSTRAINT staged_records_buffer_id_first_number_key UNIQUE (buffer_id, first_number),
  CONSTRAINT staged_records_pkey PRIMARY KEY (id)
);

CREATE TABLE queen.system_state (
  key text NOT NULL,
  value jsonb NOT NULL,
  updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT system_state_pkey PRIMARY KEY (key)
);

CREATE TABLE queen.tombstones (
  partition_id uuid NOT NULL,
  offsets int8multirange NOT NULL,
  CONSTRAINT tombstones_pkey PRIMARY KEY (partition_id)
);

CREATE TABLE queen.trace_links (
  name text NOT NULL,
  created_at timestamp with time zone NOT NULL,
  trace_id uuid NOT NULL,
  CONSTRAINT trace_links_pkey PRIMARY KEY (name, created_at, trace_id)
);

CREATE TABLE queen.trace_messages (
  name text NOT NULL,
  partition_id uuid NOT NULL,
  transaction_id text NOT NULL,
  CONSTRAINT trace_messages_pkey PRIMARY KEY (name, partition_id, transaction_id)
);

CREATE TABLE queen.trace_names (
  name text NOT NULL,
  trace_count bigint NOT NULL,
  message_count bigint NOT NULL,
  last_seen timestamp with time zone NOT NULL,
  CONSTRAINT trace_names_pkey PRIMARY KEY (name)
) WITH (fillfactor=50);
CREATE INDEX trace_names_last_seen ON queen.trace_names USING btree (last_seen DESC, name);

CREATE TABLE queen.traces (
  id uuid NOT NULL,
  partition_id uuid NOT NULL,
  message_offset bigint NOT NULL,
  transaction_id text NOT NULL,
  group_name text NOT NULL,
  event_type text NOT NULL,
  data text NOT NULL,
  names text[] NOT NULL,
  worker_id text,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT traces_pkey PRIMARY KEY (id)
);
CREATE INDEX traces_created_at ON queen.traces USING btree (created_at);
CREATE INDEX traces_message ON queen.traces USING btree (partition_id, transaction_id, created_at);
