/** The history of maintenance windows and outages: one row each, completed as it goes on. */
import type { NewWindow, SystemStore, WindowChange, WindowRow } from '../../ports/system-store.ts'
import type { Database } from '../sql.ts'
import { isoMicros } from '../timestamps.ts'

interface Row {
  id: string
  kind: WindowRow['kind']
  instance_id: string | null
  started_at: string
  safe_at: string | null
  ended_at: string | null
  drained_at: string | null
  reason: string | null
  started_by: string | null
  ended_by: string | null
  buffered_messages: string | null
  buffered_bytes: string | null
  drained_messages: string | null
  quarantined_messages: string | null
}

type WindowStore = Pick<SystemStore, 'openWindow' | 'changeWindow' | 'listWindows'>

export function createWindowStore({ state, admin }: Pick<Database, 'state' | 'admin'>): WindowStore {
  return {
    async openWindow(window: NewWindow) {
      const rows = await state.run<{ id: string }>(
        'open_window',
        `INSERT INTO queen.maintenance_windows (kind, instance_id, started_at, reason, started_by)
         VALUES ($1::text, $2::text, coalesce($3::timestamptz, clock_timestamp()), $4::text, $5::text) RETURNING id`,
        [window.kind, window.instanceId, window.startedAt, window.reason, window.startedBy],
      )
      return rows[0]!.id
    },

    async changeWindow(id: string, change: WindowChange) {
      await state.run(
        'change_window',
        `UPDATE queen.maintenance_windows w
            SET reason = CASE WHEN $2::boolean THEN $3::text ELSE w.reason END,
                safe_at = CASE WHEN $4::boolean THEN coalesce(w.safe_at, clock_timestamp()) ELSE w.safe_at END,
                ended_at = CASE WHEN $5::boolean THEN coalesce(w.ended_at, clock_timestamp()) ELSE w.ended_at END,
                ended_by = CASE WHEN $6::boolean THEN $7::text ELSE w.ended_by END,
                drained_at = CASE WHEN $8::boolean THEN coalesce(w.drained_at, clock_timestamp()) ELSE w.drained_at END,
                buffered_messages = coalesce($9::bigint, w.buffered_messages),
                buffered_bytes = coalesce($10::bigint, w.buffered_bytes),
                drained_messages = coalesce($11::bigint, w.drained_messages),
                quarantined_messages = coalesce($12::bigint, w.quarantined_messages)
          WHERE w.id = $1::bigint`,
        [
          id,
          change.reason !== undefined,
          change.reason,
          change.safe === true,
          change.ended === true,
          change.endedBy !== undefined,
          change.endedBy,
          change.drained === true,
          change.bufferedMessages,
          change.bufferedBytes,
          change.drainedMessages,
          change.quarantinedMessages,
        ],
      )
    },

    async listWindows(limit, offset, after = null) {
      const rows = await admin.run<Row & { total: string }>(
        'list_windows',
        `SELECT t.total, w.* FROM (SELECT count(*) AS total FROM queen.maintenance_windows) t
           LEFT JOIN (SELECT * FROM queen.maintenance_windows m
                       WHERE $3::timestamptz IS NULL OR (m.started_at, m.id) < ($3::timestamptz, $4::bigint)
                       ORDER BY m.started_at DESC, m.id DESC LIMIT $1::int OFFSET $2::bigint) w ON true
          ORDER BY w.started_at DESC, w.id DESC`,
        [limit, after === null ? offset : 0, after?.startedAt ?? null, after?.id ?? null],
      )
      return {
        windows: rows.filter((row) => row.id !== null).map(toWindow),
        total: Number(rows[0]?.total ?? 0),
      }
    },
  }
}

function toWindow(row: Row): WindowRow {
  const number = (text: string | null): number | null => (text === null ? null : Number(text))
  const time = (text: string | null): string | null => (text === null ? null : isoMicros(text))
  return {
    id: row.id,
    kind: row.kind,
    instanceId: row.instance_id,
    startedAt: isoMicros(row.started_at),
    safeAt: time(row.safe_at),
    endedAt: time(row.ended_at),
    drainedAt: time(row.drained_at),
    reason: row.reason,
    startedBy: row.started_by,
    endedBy: row.ended_by,
    bufferedMessages: number(row.buffered_messages),
    bufferedBytes: number(row.buffered_bytes),
    drainedMessages: number(row.drained_messages),
    quarantinedMessages: number(row.quarantined_messages),
  }
}
