-- Time series. Every instance counts in memory and adds its counts once a minute, to rows of three step widths at once,
-- so that no range needs more than some hundred rows of a queue and nothing has to be rolled up later.

CREATE TABLE queen.queue_metrics (
  -- Minutes: 1, 15 or 60.
  step           smallint NOT NULL,
  queue_id       uuid NOT NULL,
  bucket         timestamptz NOT NULL,
  instance_id    text NOT NULL,
  push_requests  bigint NOT NULL,
  push_messages  bigint NOT NULL,
  pop_requests   bigint NOT NULL,
  pop_messages   bigint NOT NULL,
  pop_empty      bigint NOT NULL,
  ack_requests   bigint NOT NULL,
  ack_success    bigint NOT NULL,
  ack_failed     bigint NOT NULL,
  transactions   bigint NOT NULL,
  dead_letters   bigint NOT NULL,
  -- Age of messages when they were popped.
  lag_ms_sum     bigint NOT NULL,
  lag_ms_max     bigint NOT NULL,
  -- Waiting pops, in milliseconds waited: divided by the length of the bucket it is how many waited on average.
  parked_ms      bigint NOT NULL,
  retention_messages           bigint NOT NULL,
  completed_retention_messages bigint NOT NULL,
  eviction_messages            bigint NOT NULL,
  -- Runs of retention or eviction that removed something.
  removal_events bigint NOT NULL,
  -- Seen by every instance alike: the largest says it.
  partitions         bigint,
  partitions_created bigint NOT NULL,
  partitions_deleted bigint NOT NULL,
  PRIMARY KEY (step, queue_id, bucket, instance_id)
) WITH (fillfactor = 70);
CREATE INDEX queue_metrics_bucket ON queen.queue_metrics (step, bucket);

-- The same for an instance as a whole, so that a series over all queues does not read every queue's.
CREATE TABLE queen.instance_metrics (
  -- Minutes: 1, 15 or 60; 0 = since the instance was first seen (bucket: the epoch).
  step        smallint NOT NULL,
  bucket      timestamptz NOT NULL,
  instance_id text NOT NULL,
  hostname    text NOT NULL,
  pid         integer NOT NULL,
  port        integer NOT NULL,
  updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- {"<name>": count} of what happened.
  counts      jsonb NOT NULL,
  -- {"<name>": [sum, min, max, last]} of what was sampled, samples times.
  gauges      jsonb NOT NULL,
  samples     integer NOT NULL,
  PRIMARY KEY (step, bucket, instance_id)
) WITH (fillfactor = 70);
