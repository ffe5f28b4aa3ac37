/** The store's side of a drain over several instances: reports, promises, staged records (docs/decisions/cluster-drain.md). */
import type { DrainAsker, DrainStore, DrainView, StagedRow } from '../ports/drain-store.ts'
import type { PushResult } from '../ports/push-store.ts'
import { pushMessages } from './push-messages.ts'
import { quarantineRecords } from './quarantine.ts'
import type { Database } from './sql.ts'

const DIVERTED: PushResult = { status: 'diverted' }

export function createDrainStore(
  database: Pick<Database, 'hot' | 'state' | 'transaction'>,
  instance: string,
): DrainStore {
  const { hot, state } = database
  const asker = ({ instanceId, epoch, expectSince, silentMs, patienceOver }: DrainAsker) => ({
    head: [instanceId, epoch],
    tail: [expectSince, silentMs, patienceOver],
  })

  return {
    async report(report, isCurrent): Promise<DrainView> {
      const { head, tail } = asker(report)
      const [row] = await state.run<{
        switch: unknown
        staged: string
        awaited: number
        frontier: string | null
        pending: string
        ungated: number
        first_id: string | null
        called: boolean
        serial: string
      }>(
        'report_drain',
        `SELECT switch, staged, awaited, frontier, pending, ungated, first_id, called, serial FROM queen.report_drain(
           $1::text, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::boolean, $7::boolean, $8::bigint, $9::bigint,
           $10::timestamptz, $11::float8, $12::boolean)`,
        [
          ...head,
          report.serial,
          report.frontierMicros,
          report.pending,
          report.closing,
          report.gated,
          report.drained,
          report.setAside,
          ...tail,
        ],
        isCurrent,
      )
      return {
        switch: row!.switch,
        staged: Number(row!.staged),
        awaited: row!.awaited,
        frontierMicros: row!.frontier === null ? null : Number(row!.frontier),
        pending: Number(row!.pending),
        ungated: row!.ungated,
        firstId: row!.first_id,
        called: row!.called,
        serial: Number(row!.serial),
      }
    },

    async finish(given) {
      const { head, tail } = asker(given)
      const [row] = await state.run<{ switch: unknown; drained: string; set_aside: string }>(
        'finish_drain',
        `SELECT switch, drained, set_aside
           FROM queen.finish_drain($1::text, $2::bigint, $3::timestamptz, $4::float8, $5::boolean)`,
        [...head, ...tail],
      )
      return row === undefined
        ? null
        : { switch: row.switch, drained: Number(row.drained), setAside: Number(row.set_aside) }
    },

    async stage(batch) {
      const [row] = await hot.run<{ kind: 'staged' | 'diverted' | 'progress'; number: string | null }>(
        'stage_records',
        'SELECT kind, number FROM queen.stage_records($1::text, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bytea)',
        [batch.bufferId, batch.after, batch.from, batch.through, batch.oldestMicros, batch.latestMicros, batch.body],
      )
      return row!.kind === 'progress'
        ? { status: 'progress', drainedThrough: Number(row!.number) }
        : { status: row!.kind }
    },

    async readStaged(upToMicros, rowsMax, bytesMax) {
      const rows = await hot.run<{
        id: string
        buffer_id: string
        last_number: string
        taken_through: string
        latest: string
        more: boolean
        body: Buffer
      }>(
        'read_staged',
        `WITH b AS (
           SELECT d.buffer_id, greatest(1, $2::int / count(*) OVER ()) AS rows_max, $3::bigint / count(*) OVER () AS bytes_max
             FROM (SELECT DISTINCT s.buffer_id FROM queen.staged_records s) d
         ), o AS (
           SELECT f.id, f.bytes, lead(f.id) OVER w AS behind, row_number() OVER w AS place,
                  sum(f.bytes) OVER w - f.bytes AS bytes_before, b.rows_max, b.bytes_max
             FROM b, LATERAL (
               SELECT s.buffer_id, s.id, s.first_number, octet_length(s.body) AS bytes FROM queen.staged_records s
                WHERE s.buffer_id = b.buffer_id ORDER BY s.first_number LIMIT b.rows_max + 1
             ) f
           WINDOW w AS (PARTITION BY f.buffer_id ORDER BY f.first_number)
         )
         SELECT s.id, s.buffer_id, s.last_number, s.taken_through, s.latest, s.body,
                o.behind IS NOT NULL AND NOT (o.place < o.rows_max AND o.bytes_before + o.bytes < o.bytes_max) AS more
           FROM o JOIN queen.staged_records s ON s.id = o.id
          WHERE (o.place = 1 OR (o.place <= o.rows_max AND o.bytes_before < o.bytes_max)) AND s.oldest <= $1::bigint
          ORDER BY s.buffer_id, s.first_number`,
        [upToMicros, rowsMax, bytesMax],
      )
      return rows.map(
        (row): StagedRow => ({
          id: row.id,
          bufferId: row.buffer_id,
          lastNumber: Number(row.last_number),
          takenThrough: Number(row.taken_through),
          latestMicros: Number(row.latest),
          moreBehind: row.more,
          body: row.body,
        }),
      )
    },

    storeMerged(writes, marks, setAside, isCurrent) {
      return database.transaction('hot', async (sql) => {
        const [now] = await sql.run<{ draining: boolean }>(
          'merge_switch',
          `SELECT coalesce(queen.drain_switch() -> 'draining' = 'true'::jsonb, false) AS draining`,
          [],
        )
        if (now?.draining !== true || !isCurrent()) return DIVERTED
        const ids = marks.map((mark) => mark.id)
        const rows = await sql.run<{ id: string; taken_through: string }>(
          'lock_staged',
          'SELECT s.id, s.taken_through FROM queen.staged_records s WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id FOR UPDATE',
          [ids],
        )
        const taken = new Map(rows.map((row) => [row.id, Number(row.taken_through)]))
        if (marks.some((mark) => taken.get(mark.id) !== mark.before)) return DIVERTED
        let result: PushResult = { status: 'done', outcomes: [], configVersion: 0 }
        if (writes.length > 0) {
          result = await pushMessages(sql, writes, null, true)
          if (result.status !== 'done' || result.outcomes.some((outcome) => outcome.status !== 'stored')) return result
        }
        await quarantineRecords(sql, instance, setAside)
        // Behind the gates another instance may end the drain before this one reports again.
        if (setAside.length > 0)
          await sql.run(
            'count_set_aside',
            'UPDATE queen.drain_members d SET set_aside = d.set_aside + $2::bigint WHERE d.instance_id = $1::text',
            [instance, setAside.length],
          )
        await sql.run(
          'take_staged',
          `UPDATE queen.staged_records s SET taken_through = u.through
             FROM unnest($1::bigint[], $2::bigint[]) AS u (id, through) WHERE s.id = u.id`,
          [ids, marks.map((mark) => mark.through)],
        )
        await sql.run(
          'remove_staged',
          'DELETE FROM queen.staged_records s WHERE s.id = ANY ($1::bigint[]) AND s.taken_through >= s.last_number',
          [ids],
        )
        return result
      })
    },

    async leave(instanceId) {
      await state.run(
        'leave_cluster',
        `WITH m AS (DELETE FROM queen.drain_members d WHERE d.instance_id = $1::text)
         DELETE FROM queen.instances i WHERE i.id = $1::text
            AND NOT EXISTS (SELECT FROM queen.quarantine_counts c WHERE c.instance_id = i.id)`,
        [instanceId],
      )
    },
  }
}
