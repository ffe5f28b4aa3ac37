-- Cluster-wide switches, the instances that share this database, and how far each file buffer is drained.

CREATE TABLE queen.system_state (
  key        text PRIMARY KEY,
  value      jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO queen.system_state (key, value) VALUES
  ('maintenance_mode', '{"enabled": false}'),
  ('pop_maintenance_mode', '{"enabled": false}'),
  -- Raised by every change of a queue's configuration; hot statements return it so that caches notice.
  ('config_version', '{"version": 1}');

CREATE TABLE queen.maintenance_windows (
  id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind                 text NOT NULL,
  instance_id          text,
  started_at           timestamptz NOT NULL,
  safe_at              timestamptz,
  ended_at             timestamptz,
  drained_at           timestamptz,
  reason               text,
  started_by           text,
  ended_by             text,
  buffered_messages    bigint NOT NULL DEFAULT 0,
  buffered_bytes       bigint NOT NULL DEFAULT 0,
  drained_messages     bigint NOT NULL DEFAULT 0,
  quarantined_messages bigint NOT NULL DEFAULT 0
);
CREATE INDEX maintenance_windows_started_at ON queen.maintenance_windows (started_at DESC);

CREATE TABLE queen.instances (
  id           text PRIMARY KEY,
  hostname     text NOT NULL,
  pid          integer NOT NULL,
  started_at   timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  -- Everything the instance reports about itself: phase, buffer counts, free disk.
  report       jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);

CREATE TABLE queen.buffer_progress (
  buffer_id     text PRIMARY KEY,
  -- Every record up to this number is stored, proved a duplicate, or set aside.
  drained_through bigint NOT NULL,
  updated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
