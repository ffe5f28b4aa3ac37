/**
 * openDatabase(): everything Queen has open towards PostgreSQL.
 *
 *   hot     message paths              poolSize connections
 *   admin   reads and administration   a few
 *   state   switches, heartbeat, probe two, never behind the queues of the others
 *   listener                           one, for NOTIFY both ways
 *   dedicated                          opened for one piece of work: the fence, a migration
 *
 * It returns at once, also when PostgreSQL is down, and goes on trying in the background. While it knows that the
 * server is away, callers are refused without a try.
 *
 * When PostgreSQL has no room for another connection, the message paths give up one of theirs to whoever needs its first:
 * however busy an instance is, its switches are read, its heart beats and the fence can be passed.
 *
 * Invariant: every call settles within waiting time + statement limit + margin, with rows or a StoreError.
 */
import type { Log } from '../../ports/log.ts'
import { StoreError } from '../../ports/store-error.ts'
import { createListener, type Listener } from '../listener.ts'
import { type FunctionSet, ownFunctions } from '../schema/functions.ts'
import type { Database, Sql, SqlTransaction } from '../sql.ts'
import { DatabaseConnection } from './connection.ts'
import { DatabaseHealth, type DatabaseState } from './health.ts'
import { ConnectionPool, type PoolStats } from './queue.ts'
import { adminSettings, baseSettings, hotSettings, type TimeLimits } from './settings.ts'
import type { KnownColumns } from './statement.ts'
import { otherCopy, runInTransaction } from './transaction.ts'

export interface DatabaseOptions {
  /** TLS as its sslmode says. */
  readonly url: string
  /** Connections of the message paths; a handful more is opened for administration and state. */
  readonly poolSize: number
  readonly lockTimeoutMs: number
  readonly statementTimeoutMs: number
  readonly connectTimeoutMs: number
  /** How the sessions name themselves in pg_stat_activity. */
  readonly applicationName?: string
  readonly log: Log
  /** Sessions that open from now on may find another database than those before: a restored one, a promoted replica. */
  readonly onOtherDatabase?: () => void
  readonly onStateChange?: (state: 'connected' | 'disconnected', reason: string | null) => void
  /** Default: the functions of this build. */
  readonly functions?: FunctionSet
}

export interface DedicatedLimits {
  readonly lockTimeoutMs: number
  readonly statementTimeoutMs: number
}

export interface DedicatedSql extends Sql {
  /** Runs commands without parameters and returns the tag of the last one. Function names are not versioned here. */
  command(text: string): Promise<string>
}

export interface QueenDatabase extends Database {
  readonly listener: Listener
  readonly state: Sql
  readonly connectionState: DatabaseState
  /** The server's process ids of the sessions that are in use here. */
  processIds(): number[]
  /** The hot pool's numbers. */
  stats(): PoolStats
  /** Runs `work` on a connection of its own with its own limits (0 = none), and closes it. */
  dedicated<T>(limits: DedicatedLimits, work: (sql: DedicatedSql) => Promise<T>): Promise<T>
  /** Refuses new work, lets running statements end (for at most `graceMs`), closes everything. */
  close(graceMs?: number): Promise<void>
}

// A server that was restarted counts as another one: restored in place it looks the same. Null before the first migration.
const IDENTITY = `
  SELECT pg_catalog.pg_postmaster_start_time() || ' ' || d.oid || ' ' || pg_catalog.to_regclass('queen.segments')::oid
           AS identity
    FROM pg_catalog.pg_database d
   WHERE d.datname = pg_catalog.current_database()`

const ADMIN_SIZE = 3
const STATE_SIZE = 2
// What stays open of an idle instance: the first pushes and reads after a rest are served at once.
const HOT_KEPT = 2
const ADMIN_KEPT = 1
// Waiting callers hold a request each; beyond this the instance is overloaded and should say so.
const HOT_WAITERS_MAX = 2_000
const ADMIN_WAITERS_MAX = 200
const STATE_WAITERS_MAX = 50
// A dedicated connection without a statement limit is still given up after this long without any answer.
const UNLIMITED_MS = 24 * 3_600_000
const CLOSE_POLL_MS = 10

export function openDatabase(options: DatabaseOptions): QueenDatabase {
  const functions = options.functions ?? ownFunctions()
  const known: KnownColumns = new Map()
  const bound = new Map<string, { text: string; bound: string }>()
  const dedicated = new Set<DatabaseConnection>()
  const sessions = new Set<DatabaseConnection>()
  let closed = false
  let identity: string | null = null

  /** Before anybody runs a statement on the session. */
  const identify = async (session: DatabaseConnection): Promise<void> => {
    const [row] = await session.run<{ identity: string | null }>(
      'identity',
      IDENTITY,
      [],
      options.connectTimeoutMs,
      false,
    )
    const before = identity
    identity = row?.identity ?? identity
    if (before !== null && before !== identity) options.onOtherDatabase?.()
  }

  const open = async (settings: Record<string, string>): Promise<DatabaseConnection> => {
    const opened = await DatabaseConnection.open(
      {
        url: options.url,
        applicationName: options.applicationName ?? 'queen',
        connectTimeoutMs: options.connectTimeoutMs,
        settings,
      },
      known,
    )
    try {
      await identify(opened)
    } catch (error) {
      opened.destroy()
      throw error
    }
    for (const session of sessions) if (session.broken) sessions.delete(session)
    sessions.add(opened)
    return opened
  }

  /** Opens a connection, or takes over one of the message paths when PostgreSQL has no room for another. */
  const openOrTakeOver = async (settings: Record<string, string>): Promise<DatabaseConnection> => {
    try {
      return await open(settings)
    } catch (error) {
      if (!(error as StoreError).noConnectionLeft) throw error
      const given = (await pools.hot.give(1)) ?? (await pools.admin.give(0)) ?? (await pools.state.give(1))
      if (given === null) throw error
      options.log.warn({ reason: (error as StoreError).message }, 'PostgreSQL has no connection left for this instance')
      await given.adopt(settings, options.connectTimeoutMs)
      return given
    }
  }

  const pool = (
    size: number,
    keep: number,
    waitersMax: number,
    always: boolean,
    open: () => Promise<DatabaseConnection>,
  ): ConnectionPool =>
    new ConnectionPool({
      size,
      keep,
      waitersMax,
      waitTimeoutMs: options.statementTimeoutMs,
      open,
      refusal: () =>
        health.state !== 'disconnected' || always
          ? null
          : new StoreError('unavailable', health.reason?.message ?? 'PostgreSQL cannot be reached'),
      onOpened: () => health.succeeded(),
      onOpenFailed: (error, alone) => {
        // Full is not away while the message paths have theirs.
        const full = error.noConnectionLeft && pools.hot.stats().size > 0
        if (alone && !full) health.failed(error)
        else health.check()
      },
      onLost: (silent) => {
        if (!silent) {
          health.check()
          return
        }
        for (const each of Object.values(pools)) each.dropIdle()
        health.failed(new StoreError('unavailable', 'PostgreSQL does not answer'))
      },
    })

  const limits: TimeLimits = options
  const pools: Record<'hot' | 'admin' | 'state', ConnectionPool> = {
    hot: pool(options.poolSize, HOT_KEPT, HOT_WAITERS_MAX, false, () => open(hotSettings(limits))),
    // One is enough to answer; more of them would cost the message paths too many.
    admin: pool(ADMIN_SIZE, ADMIN_KEPT, ADMIN_WAITERS_MAX, false, () =>
      pools.admin.stats().size === 0 ? openOrTakeOver(adminSettings(limits)) : open(adminSettings(limits)),
    ),
    state: pool(STATE_SIZE, STATE_SIZE, STATE_WAITERS_MAX, true, () => openOrTakeOver(baseSettings(limits))),
  }

  const health: DatabaseHealth = new DatabaseHealth({
    probe: async () => {
      for (let attempt = 0; ; attempt++) {
        try {
          await sql('state').run('probe', 'SELECT 1 AS one', [])
          return
        } catch (error) {
          const { noConnectionLeft, outcomeUnknown } = error as StoreError
          // No connection left for the probe is no outage while the message paths have theirs.
          if (noConnectionLeft && pools.hot.stats().size > 0) return
          // It ran on a connection that had just been lost too: only a new one can tell.
          if (outcomeUnknown && attempt < STATE_SIZE && health.state !== 'disconnected') continue
          throw error
        }
      }
    },
    onChange: (state, reason) => {
      if (state === 'connected') options.log.info({}, 'PostgreSQL is connected')
      else options.log.warn({ reason }, 'PostgreSQL is not reachable')
      options.onStateChange?.(state, reason)
    },
  })

  /** The statement's text with this build's function names, worked out once for each statement. */
  const bind = (name: string, text: string): string => {
    const entry = bound.get(name)
    if (entry !== undefined && entry.text === text) return entry.bound
    const result = functions.bind(text)
    bound.set(name, { text, bound: result })
    return result
  }

  const sql = (which: keyof typeof pools): Sql => ({
    run: <Row extends object>(name: string, text: string, values: readonly unknown[], isCurrent?: () => boolean) =>
      pools[which].use((connection) => {
        if (isCurrent?.() === false) throw otherCopy()
        return connection.run<Row>(name, bind(name, text), values, options.statementTimeoutMs, true)
      }),
  })

  const listener = createListener({
    open: () => openOrTakeOver({ ...baseSettings(limits), synchronous_commit: 'off' }),
    statementTimeoutMs: options.statementTimeoutMs,
    log: options.log,
  })

  health.check()
  return {
    hot: sql('hot'),
    admin: sql('admin'),
    state: sql('state'),
    listener,
    get connectionState() {
      return health.state
    },
    transaction: <T>(which: keyof typeof pools, work: (sql: SqlTransaction) => Promise<T>) =>
      pools[which].use((connection) => runInTransaction(connection, options.statementTimeoutMs, bind, work)),
    async dedicated(own, work) {
      if (closed) throw new StoreError('unavailable', 'the database connections are closed')
      const connection = await openOrTakeOver(baseSettings(own))
      dedicated.add(connection)
      const patienceMs = own.statementTimeoutMs === 0 ? UNLIMITED_MS : own.statementTimeoutMs
      try {
        return await work({
          run: (name, text, values) => connection.run(name, bind(name, text), values, patienceMs, true),
          command: (text) => connection.command(text, patienceMs, true),
        })
      } finally {
        dedicated.delete(connection)
        connection.close()
      }
    },
    processIds: () => [...sessions].filter(({ broken }) => !broken).map(({ processId }) => processId),
    stats: () => pools.hot.stats(),
    async close(graceMs = options.statementTimeoutMs) {
      if (closed) return
      closed = true
      health.stop()
      listener.close()
      for (const each of Object.values(pools)) each.close()
      const endsAt = performance.now() + graceMs
      while (Object.values(pools).some((each) => each.busy > 0) && performance.now() < endsAt)
        await new Promise((resolve) => setTimeout(resolve, CLOSE_POLL_MS))
      for (const each of Object.values(pools)) each.destroyBusy()
      for (const connection of dedicated) connection.destroy()
    },
  }
}
