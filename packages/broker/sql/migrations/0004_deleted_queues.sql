-- When a queue of this name was last deleted. A record that a file buffer accepted before that moment belongs to the
-- deleted queue and must not bring it back; it is set aside when it is drained.

CREATE TABLE queen.deleted_queues (
  name       text PRIMARY KEY,
  deleted_at timestamptz NOT NULL
);
