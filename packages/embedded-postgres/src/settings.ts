/** Server settings for a queue: many small durable commits, few connections, modest memory. Callers may override each. */
export const DEFAULT_SETTINGS: Readonly<Record<string, string>> = {
  // Only this machine. The socket, where there is one, lies in the data directory (see socket.ts).
  listen_addresses: '127.0.0.1',
  // What Queen promises rests on these three: never relaxed here.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // Hot queue data is young and small. More would be taken from the page cache of a small machine.
  shared_buffers: '256MB',
  // Rare checkpoints: each one makes every page's next change a full page image in the WAL. Costs disk, not memory.
  max_wal_size: '3GB',
  // Files that are used again after a checkpoint: making a new one costs as much as all else in storing what fills it.
  min_wal_size: '1GB',
  checkpoint_timeout: '15min',
  wal_compression: 'on',
  wal_buffers: '16MB',
  // Statements are short and keyed; compiling them costs more than running them.
  jit: 'off',
  max_connections: '100',
  // Parallel plans need /dev/shm, which containers keep small, and no statement of a queue wants them.
  max_parallel_workers_per_gather: '0',
  log_timezone: 'UTC',
  timezone: 'UTC',
  lc_messages: 'C',
  log_line_prefix: '',
  log_checkpoints: 'off',
}
