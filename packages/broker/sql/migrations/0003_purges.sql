-- Segments whose messages are gone for every reader (their queue was deleted, their partition cleared) but which still
-- take up space. They are deleted in small bites after the deletion has committed, so that a queue of any size is
-- deleted at once.

CREATE TABLE queen.purges (
  partition_id  uuid PRIMARY KEY,
  -- Segments that end below it go; null = the partition itself is gone, everything of it goes.
  before_offset bigint,
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
