/**
 * The cluster's switches in queen.system_state, and the fence between a switch and the flushes under way.
 *
 * All of it runs on the state connections, so neither a full pool nor a long statement delays it; only the fence, which
 * waits on purpose, has a connection of its own.
 */
import { StoreError } from '../../ports/store-error.ts'
import type {
  FenceHolder,
  SwitchAge,
  SwitchName,
  SwitchValue,
  SystemState,
  SystemStore,
} from '../../ports/system-store.ts'
import type { QueenDatabase } from '../pool/pool.ts'
import { isoMicros } from '../timestamps.ts'
import { createInstanceStore } from './instances.ts'
import { createWindowStore } from './windows.ts'

/** Payload: the switch that changed. */
export const STATE_CHANNEL = 'queen_state'

// Beyond the lock's own limit: time for the server to say that it was reached.
const FENCE_MARGIN_MS = 1_000

export function createSystemStore(
  database: Pick<QueenDatabase, 'state' | 'admin' | 'transaction' | 'dedicated'>,
): SystemStore {
  const { state } = database
  return {
    ...createWindowStore(database),
    ...createInstanceStore(database),

    async readSystemState() {
      const rows = await state.run<{ key: string; value: unknown }>(
        'read_system_state',
        `SELECT s.key, s.value FROM queen.system_state s
          WHERE s.key IN ('maintenance_mode', 'pop_maintenance_mode', 'config_version')`,
        [],
      )
      const value = (key: string): unknown => rows.find((row) => row.key === key)?.value ?? null
      const result: SystemState = {
        maintenance: value('maintenance_mode'),
        popMaintenance: value('pop_maintenance_mode'),
        configVersion: (value('config_version') as { version?: number } | null)?.version ?? 0,
      }
      return result
    },

    changeSwitch(name: SwitchName, change: (current: unknown, age: SwitchAge) => SwitchValue | null): Promise<unknown> {
      return database.transaction('state', async (sql) => {
        const [row] = await sql.run<{ value: unknown; changed_at: string; first_at: string }>(
          'lock_switch',
          `SELECT s.value, s.updated_at AS changed_at,
                  (SELECT min(o.updated_at) FROM queen.system_state o) AS first_at
             FROM queen.system_state s WHERE s.key = $1::text FOR UPDATE`,
          [name],
        )
        const current = row?.value ?? null
        const at = (text: string | undefined): string | null => (text === undefined ? null : isoMicros(text))
        const next = change(current, { changedAt: at(row?.changed_at), firstAt: at(row?.first_at) })
        if (next === null) return current
        await sql.run(
          'write_switch',
          `INSERT INTO queen.system_state AS s (key, value) VALUES ($1::text, $2::jsonb)
           ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = clock_timestamp()`,
          [name, JSON.stringify(next)],
        )
        await sql.run('notify_state', 'SELECT pg_catalog.pg_notify($1::text, $2::text)', [STATE_CHANNEL, name])
        return next
      })
    },

    async keepOnce(name, value) {
      // Mostly something is kept already. Then nothing is locked or written, so that neither a session that holds the row
      // nor a server that takes no writes yet is in the way.
      const [kept] = await state.run<{ value: { kept: string } }>(
        'read_kept',
        'SELECT s.value FROM queen.system_state s WHERE s.key = $1::text',
        [name],
      )
      if (kept !== undefined) return kept.value.kept
      const [row] = await state.run<{ value: { kept: string } }>(
        'keep_once',
        // Of two instances at the same time the second waits for the first, and gets what that one kept.
        `INSERT INTO queen.system_state AS s (key, value) VALUES ($1::text, jsonb_build_object('kept', $2::text))
         ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING s.value`,
        [name, value],
      )
      return row!.value.kept
    },

    async fence(waitMs) {
      const limits = { lockTimeoutMs: Math.max(1, waitMs), statementTimeoutMs: waitMs + FENCE_MARGIN_MS }
      try {
        await database.dedicated(limits, (sql) =>
          // Exclusive, and given back at once: writes that held it shared have ended, later ones see the switch.
          sql.run('fence', 'SELECT pg_catalog.pg_advisory_xact_lock(queen.fence_key())', []),
        )
        return true
      } catch (error) {
        if (error instanceof StoreError && error.failure === 'locked') return false
        throw error
      }
    },

    async fenceHolders() {
      const rows = await state.run<{ application_name: string; pid: number; since: string | null }>(
        'fence_holders',
        // An advisory lock shows the two halves of its 64-bit key.
        `SELECT a.application_name, a.pid, a.xact_start AS since
           FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
          WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.mode = 'ShareLock'
            AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
            AND (l.classid::bigint << 32) | l.objid::bigint = queen.fence_key()
          ORDER BY a.xact_start`,
        [],
      )
      return rows.map(
        (row): FenceHolder => ({
          applicationName: row.application_name,
          processId: row.pid,
          since: row.since === null ? null : isoMicros(row.since),
        }),
      )
    },
  }
}
