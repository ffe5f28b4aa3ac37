-- The advisory lock between message writes (shared) and the switch to maintenance (exclusive). The number is arbitrary
-- and must never change: instances of different versions have to meet in it.
CREATE FUNCTION queen.fence_key() RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$ SELECT 5714301772361950001 $$;
