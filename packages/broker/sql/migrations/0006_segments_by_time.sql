-- Lists of messages show the newest of many partitions first. All segments of a flush have one created_at, and equal
-- entries share their place in a b-tree, so a flush adds one short entry at its right edge.
CREATE INDEX segments_created_at ON queen.segments (created_at);
