-- What instances promise each other while the cluster drains, and records on their way from several buffers into one
-- order (docs/decisions/cluster-drain.md).

CREATE TABLE queen.drain_members (
  instance_id text PRIMARY KEY,
  -- Rises with each report, so that one that was delayed on its way cannot replace a later one.
  serial      bigint NOT NULL,
  -- The drain this report belongs to; one of an earlier drain means nothing.
  epoch       bigint NOT NULL,
  -- Microseconds since 1970: everything this instance accepted up to then is stored or staged.
  frontier    bigint NOT NULL,
  pending     bigint NOT NULL,
  -- New pushes are held: the others are called to do the same.
  closing     boolean NOT NULL,
  -- Closing, the buffer empty and nothing on its way into it: a promise.
  gated       boolean NOT NULL,
  -- Since this drain began.
  drained     bigint NOT NULL,
  set_aside   bigint NOT NULL,
  seen_at     timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE queen.staged_records (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  buffer_id     text NOT NULL,
  first_number  bigint NOT NULL,
  last_number   bigint NOT NULL,
  -- Records up to this number are merged into the queues.
  taken_through bigint NOT NULL,
  -- When the first and the last of them were accepted, microseconds since 1970.
  oldest        bigint NOT NULL,
  latest        bigint NOT NULL,
  -- Records as they were in the buffer (see engine/staged-batch.ts).
  body          bytea NOT NULL,
  UNIQUE (buffer_id, first_number)
);
ALTER TABLE queen.staged_records ALTER COLUMN body SET STORAGE EXTERNAL;
