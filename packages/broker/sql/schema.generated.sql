-- The schema after all migrations, read from the catalogs of a real server. Not executed by anything: a test
-- compares it, so that a change of the schema is seen in review. Written anew by: npm test -- -u

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
CREATE INDEX dead_letters_queue_failed_at ON queen.dead_letters USING btree (queue_id, failed_at DESC, id DESC);

CREATE TABLE queen.deleted_queues (
  name text NOT NULL,
  deleted_at timestamp with time zone NOT NULL,
  CONSTRAINT deleted_queues_pkey PRIMARY KEY (name)
);

CREATE TABLE queen.function_sets (
  version text NOT NULL,
  installed_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT function_sets_pkey PRIMARY KEY (version)
);

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
  buffered_messages bigint NOT NULL DEFAULT 0,
  buffered_bytes bigint NOT NULL DEFAULT 0,
  drained_messages bigint NOT NULL DEFAULT 0,
  quarantined_messages bigint NOT NULL DEFAULT 0,
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

CREATE TABLE queen.system_state (
  key text NOT NULL,
  value jsonb NOT NULL,
  updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT system_state_pkey PRIMARY KEY (key)
);

CREATE FUNCTION queen.accepted_at(p_accepted bytea, p_index integer) RETURNS timestamp with time zone LANGUAGE sql;
CREATE FUNCTION queen.ack_entry(p_entry integer, p_partition uuid, p_group text, p_lease text, p_completed int8multirange, p_failed int8multirange, p_retry int8multirange, p_dead int8multirange, p_retry_limit integer, p_retry_delay_ms bigint, p_dead_entry integer[], p_dead_offset bigint[], p_dead_queue uuid[], p_dead_message uuid[], p_dead_transaction text[], p_dead_frame bytea[], p_dead_error text[], p_dead_created timestamp with time zone[]) RETURNS TABLE(state text, ended boolean, committed bigint, dead text, before_committed bigint, before_acked text, before_leased text, before_released text, before_failed text, dead_before text) LANGUAGE plpgsql;
CREATE FUNCTION queen.ack_messages(p_partition uuid[], p_group text[], p_lease text[], p_completed int8multirange[], p_count bigint[], p_mixed boolean[], p_failed int8multirange[], p_retry int8multirange[], p_dead int8multirange[], p_retry_limit integer[], p_retry_delay_ms bigint[], p_dead_entry integer[], p_dead_offset bigint[], p_dead_queue uuid[], p_dead_message uuid[], p_dead_transaction text[], p_dead_frame bytea[], p_dead_error text[], p_dead_created timestamp with time zone[]) RETURNS TABLE(ordinal integer, state text, ended boolean, committed bigint, dead text, before_committed bigint, before_acked text, before_leased text, before_released text, before_failed text, dead_before text) LANGUAGE plpgsql;
CREATE FUNCTION queen.clear_queue(p_name text, p_partition text) RETURNS TABLE(queue_found boolean, partition_found boolean, messages bigint, dead_letters bigint) LANGUAGE plpgsql;
CREATE FUNCTION queen.configure_queue(p_name text, p_namespace text, p_task text, p_set jsonb, p_unset text[], p_replace boolean) RETURNS TABLE(id uuid, name text, namespace text, task text, options jsonb, created_at timestamp with time zone, created boolean, partition_id uuid, version bigint) LANGUAGE plpgsql;
CREATE FUNCTION queen.credit_leases(p_since timestamp with time zone, p_until timestamp with time zone) RETURNS bigint LANGUAGE sql;
CREATE FUNCTION queen.dead_offsets(p_partition uuid, p_group text, p_offsets int8multirange) RETURNS text LANGUAGE sql;
CREATE FUNCTION queen.delete_queue(p_name text) RETURNS boolean LANGUAGE plpgsql;
CREATE FUNCTION queen.ensure_partitions(p_queue_id uuid, p_names text[]) RETURNS TABLE(id uuid, name text) LANGUAGE plpgsql;
CREATE FUNCTION queen.ensure_queue(p_name text, p_namespace text, p_task text) RETURNS TABLE(id uuid, name text, namespace text, task text, options jsonb, created_at timestamp with time zone, created boolean) LANGUAGE plpgsql;
CREATE FUNCTION queen.extend_lease(p_lease text, p_partition uuid, p_seconds integer) RETURNS TABLE(until_ms bigint, partitions integer) LANGUAGE plpgsql;
CREATE FUNCTION queen.fence_key() RETURNS bigint LANGUAGE sql;
CREATE FUNCTION queen.hold_lease(p_lease text, p_partition uuid) RETURNS boolean LANGUAGE plpgsql;
CREATE FUNCTION queen.live_cursors(p_lease text, p_partition uuid) RETURNS TABLE(partition_id uuid, group_name text) LANGUAGE plpgsql;
CREATE FUNCTION queen.offset_at(p_partition uuid, p_time timestamp with time zone, p_after boolean) RETURNS bigint LANGUAGE plpgsql;
CREATE FUNCTION queen.offset_count(p_set int8multirange) RETURNS bigint LANGUAGE sql;
CREATE FUNCTION queen.pop_messages(p_partition uuid[], p_group text[], p_request integer[], p_want bigint[], p_lease text[], p_shared boolean[], p_lease_ms bigint[], p_delay_ms bigint[], p_window_ms bigint[], p_cached_from bigint[], p_cached_to bigint[], p_bytes_max bigint, p_durable boolean, p_start_mode text[], p_start_at timestamp with time zone[]) RETURNS TABLE(ordinal integer, state text, position_at bigint, leased_to bigint, next_offset bigint, wake_ms bigint, until_ms bigint, leased_set text, failures text, first_offset bigint, last_offset bigint, created_at timestamp with time zone, id_base uuid, body bytea) LANGUAGE plpgsql;
CREATE FUNCTION queen.probe_duplicates(p_place integer, p_partition uuid, p_next bigint, p_count integer, p_keys bytea, p_window integer, p_known_from bigint, p_known_to bigint, p_suspects_before integer, p_suspect_offsets bigint[], p_suspect_keys bytea, p_accepted bytea, p_suspect_accepted bytea, p_oldest_micros bigint, p_now timestamp with time zone) RETURNS TABLE(kind text, place integer, item integer, number bigint, at timestamp with time zone, text_value text, data bytea) LANGUAGE plpgsql;
CREATE FUNCTION queen.purge_segments(p_rows integer) RETURNS boolean LANGUAGE plpgsql;
CREATE FUNCTION queen.push_messages(p_partitions uuid[], p_counts integer[], p_id_bases uuid[], p_ends integer[], p_blob bytea, p_windows integer[], p_known_from bigint[], p_known_to bigint[], p_suspect_ends integer[], p_suspect_offsets bigint[], p_suspect_keys bytea, p_accepted bytea, p_suspect_accepted bytea, p_oldest bigint[], p_atomic boolean, p_buffer_id text, p_drained_from bigint, p_drained_through bigint) RETURNS TABLE(kind text, place integer, item integer, number bigint, at timestamp with time zone, text_value text, data bytea) LANGUAGE plpgsql;
CREATE FUNCTION queen.raise_config_version() RETURNS bigint LANGUAGE plpgsql;
CREATE FUNCTION queen.read_keys(p_partition uuid, p_from bigint, p_window integer, p_keys_max bigint) RETURNS TABLE(first_offset bigint, created_at timestamp with time zone, keys bytea) LANGUAGE plpgsql;
CREATE FUNCTION queen.reconcile_partitions(p_queue uuid, p_group text, p_after text, p_limit integer, p_window_ms bigint, p_start_mode text, p_start_at timestamp with time zone) RETURNS TABLE(partition_id uuid, name text, state text, wake_ms bigint, position_at bigint, next_offset bigint) LANGUAGE plpgsql;
CREATE FUNCTION queen.record_subscription(p_queue text, p_group text, p_mode text, p_from timestamp with time zone, p_ago_ms bigint) RETURNS TABLE(mode text, starts_at timestamp with time zone) LANGUAGE plpgsql;
CREATE FUNCTION queen.release_claim(p_partition uuid[], p_group text, p_lease text) RETURNS void LANGUAGE sql;
CREATE FUNCTION queen.skip_hole(p_partition uuid, p_group text) RETURNS bigint LANGUAGE plpgsql;
CREATE FUNCTION queen.unacked_end(p_acked int8multirange, p_from bigint, p_to bigint, p_want bigint) RETURNS bigint LANGUAGE plpgsql;
CREATE FUNCTION queen.unfinished_failures(p_failures jsonb, p_committed bigint, p_acked int8multirange) RETURNS jsonb LANGUAGE sql;
CREATE FUNCTION queen.window_start(p_partition uuid, p_from bigint, p_to bigint, p_oldest timestamp with time zone) RETURNS bigint LANGUAGE plpgsql;
