/** The instances that share this database, what each last said of itself, and how far their buffers are drained. */
import {
  type DrainDebt,
  type InstanceReport,
  type InstanceRow,
  LIVE_MS_MAX,
  type SystemStore,
} from '../../ports/system-store.ts'
import type { Sql } from '../sql.ts'
import { isoMicros } from '../timestamps.ts'

interface Row {
  id: string
  hostname: string
  pid: number
  started_at: string
  last_seen_at: string
  silent_ms: number
  quarantined: string
  report: Record<string, unknown>
}

type InstanceStore = Pick<
  SystemStore,
  'heartbeat' | 'listInstances' | 'forgetInstances' | 'readBufferProgress' | 'listDrainDebts'
>

// Far more than a cluster has; a bound all the same. Those heard of last come first.
const INSTANCES_MAX = 1_000
const COLUMNS = `i.id, i.hostname, i.pid, i.started_at, i.last_seen_at, i.report,
  (extract(epoch FROM clock_timestamp() - i.last_seen_at) * 1000)::float8 AS silent_ms,
  (SELECT coalesce(sum(c.records), 0) FROM queen.quarantine_counts c WHERE c.instance_id = i.id)::text AS quarantined`

export function createInstanceStore({ state }: { readonly state: Sql }): InstanceStore {
  const report = (instance: InstanceReport): Promise<Row[]> =>
    state.run<Row>(
      'heartbeat',
      // The statement's snapshot does not show its own write, hence the union. Who is not live any more has lost its name:
      // sooner, an overloaded instance's name would be given away; later, one that lost its disk would wait for its own.
      `WITH own AS (
         INSERT INTO queen.instances AS held (id, hostname, pid, started_at, last_seen_at, report)
         VALUES ($1::text, $2::text, $3::int, $4::timestamptz, clock_timestamp(), $5::jsonb)
         ON CONFLICT (id) DO UPDATE SET hostname = excluded.hostname, pid = excluded.pid,
           started_at = excluded.started_at, last_seen_at = excluded.last_seen_at,
           report = excluded.report || jsonb_build_object('before', jsonb_build_object('hostname', held.hostname,
             'pid', held.pid, 'startedAt', held.started_at, 'lastSeenAt', held.last_seen_at))
          WHERE coalesce(held.report ->> 'bufferId', excluded.report ->> 'bufferId')
                  IS NOT DISTINCT FROM excluded.report ->> 'bufferId'
             OR excluded.report -> 'formerBufferIds' ? (held.report ->> 'bufferId')
             OR held.last_seen_at < clock_timestamp() - make_interval(secs => ${LIVE_MS_MAX / 1_000})
         RETURNING *)
       SELECT ${COLUMNS} FROM (
         SELECT * FROM own
          UNION ALL
         SELECT * FROM queen.instances o WHERE o.id <> $1::text OR NOT EXISTS (SELECT FROM own)) i
        ORDER BY i.last_seen_at DESC, i.id LIMIT ${INSTANCES_MAX}`,
      [instance.id, instance.hostname, instance.pid, instance.startedAt, JSON.stringify(instance.report)],
    )
  return {
    async heartbeat(instance: InstanceReport) {
      const rows = await report(instance)
      // Written by somebody else since the statement's snapshot: the next one sees it.
      const known = rows.some(({ id }) => id === instance.id) ? rows : await report(instance)
      return known.map(toInstance)
    },

    async listInstances() {
      const rows = await state.run<Row>(
        'list_instances',
        `SELECT ${COLUMNS} FROM queen.instances i ORDER BY i.last_seen_at DESC, i.id LIMIT ${INSTANCES_MAX}`,
        [],
      )
      return rows.map(toInstance)
    },

    async forgetInstances(silentMs: number) {
      const rows = await state.run<{ id: string }>(
        'forget_instances',
        // Unknown counts are kept: only "0" says that nothing is left there.
        `WITH m AS (
           DELETE FROM queen.drain_members d
            WHERE d.seen_at < clock_timestamp() - make_interval(secs => $1::float8 / 1000))
         DELETE FROM queen.instances i
          WHERE i.last_seen_at < clock_timestamp() - make_interval(secs => $1::float8 / 1000)
            AND i.report ->> 'bufferedMessages' = '0' AND i.report ->> 'quarantinedOnDisk' = '0'
            AND NOT EXISTS (SELECT FROM queen.quarantine_counts c WHERE c.instance_id = i.id)
         RETURNING i.id`,
        [silentMs],
      )
      return rows.length
    },

    async readBufferProgress() {
      const rows = await state.run<{ buffer_id: string; drained_through: string }>(
        'read_buffer_progress',
        'SELECT b.buffer_id, b.drained_through FROM queen.buffer_progress b',
        [],
      )
      return new Map(rows.map((row) => [row.buffer_id, Number(row.drained_through)]))
    },

    async listDrainDebts(epoch: number, expectSince: string) {
      const rows = await state.run<{ id: string; staged: string; unreported: boolean }>(
        'list_drain_debts',
        `SELECT * FROM (
           SELECT i.id,
                  (SELECT coalesce(sum(r.last_number - r.taken_through), 0) FROM queen.staged_records r
                    WHERE r.buffer_id = i.report ->> 'bufferId')::text AS staged,
                  i.last_seen_at >= $2::timestamptz AND NOT EXISTS (
                    SELECT FROM queen.drain_members d WHERE d.instance_id = i.id AND d.epoch = $1::bigint) AS unreported
             FROM queen.instances i) o
          WHERE o.unreported OR o.staged <> '0' ORDER BY o.id LIMIT ${INSTANCES_MAX}`,
        [epoch, expectSince],
      )
      return rows.map(
        (row): DrainDebt => ({ instanceId: row.id, staged: Number(row.staged), unreported: row.unreported }),
      )
    },
  }
}

function toInstance(row: Row): InstanceRow {
  return {
    id: row.id,
    hostname: row.hostname,
    pid: row.pid,
    startedAt: isoMicros(row.started_at),
    lastSeenAt: isoMicros(row.last_seen_at),
    silentMs: Math.max(0, row.silent_ms),
    quarantined: Number(row.quarantined),
    report: row.report,
  }
}
