/**
 * The same load on tables that were never analysed and on tables whose statistics are always fresh. A statement with one
 * possible plan takes the same time on both.
 *
 * Two databases with a broker each, in turn: noise that lasts longer than a turn hits both. What is compared is the time
 * that PostgreSQL itself counts for the push and the claim function, per message, not the throughput around it.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import { runPopLoad } from '../load/pop-load.ts'
import { runPushLoad } from '../load/push-load.ts'
import type { Rig } from '../rig/rig.ts'
import { CONSUMERS, PRODUCERS, type Row, usualShape } from './row.ts'

const TURNS = 5
const BATCH = 10
const MESSAGES_PER_TURN = 30_000
const POLL_MS = 20
const FUNCTIONS = { push: 'push_known', pop: 'pop_messages' } as const

interface Side {
  readonly url: string
  readonly sql: pg.Client
  messages: number
  /** Ends the broker; its sessions hand in their figures as they end. May be called twice. */
  stopBroker(): Promise<void>
  drop(): Promise<void>
}

export function statisticsRows(): Row[] {
  return [
    {
      name: 'statistics',
      about: 'time in the push and claim functions, µs a message: never analysed, then freshly analysed',
      async run({ rig, queue }) {
        const never = await openSide(rig)
        const fresh = await openSide(rig)
        try {
          for (let turn = 0; turn < TURNS; turn++) {
            // Whoever goes second finds a warmer machine; so each goes first in every other turn.
            for (const side of turn % 2 === 0 ? [never, fresh] : [fresh, never]) {
              if (side === fresh) await side.sql.query('ANALYZE')
              await takeTurn(side, `${queue}-${turn}`)
            }
          }
          const neverMicros = await functionMicros(never)
          const freshMicros = await functionMicros(fresh)
          return {
            neverPushMicros: neverMicros.push,
            freshPushMicros: freshMicros.push,
            neverPopMicros: neverMicros.pop,
            freshPopMicros: freshMicros.pop,
          }
        } finally {
          for (const side of [never, fresh]) {
            await side.stopBroker()
            await side.drop()
          }
        }
      },
    },
  ]
}

async function openSide(rig: Rig): Promise<Side> {
  const database = await rig.createDatabase()
  // Before the broker's sessions begin, which take it over.
  await database.sql.query(`ALTER DATABASE ${database.name} SET track_functions = 'pl'`)
  // Without its memory of segments every claim reads, through the function that is measured; otherwise so few do that the
  // planning after each ANALYZE would be most of what is counted.
  const broker = await rig.startBroker(database.url, { SEGMENT_CACHE_BYTES: '0' })
  // Autovacuum would analyse the tables behind our back.
  await database.sql.query(`
    DO $$ DECLARE t regclass; BEGIN
      FOR t IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'queen'::regnamespace AND c.relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', t);
      END LOOP;
    END $$`)
  return { url: broker.url, sql: database.sql, messages: 0, stopBroker: broker.stop, drop: database.drop }
}

async function takeTurn(side: Side, queue: string): Promise<void> {
  const { acknowledged, numberFrom } = await runPushLoad(side.url, {
    ...usualShape(queue, BATCH),
    connections: PRODUCERS,
    status: 'queued',
    messagesMax: MESSAGES_PER_TURN,
  })
  await runPopLoad(side.url, {
    queue,
    consumers: CONSUMERS,
    batch: BATCH,
    autoAck: true,
    numberFrom,
    messages: acknowledged,
  })
  side.messages += acknowledged
}

async function functionMicros(side: Side): Promise<{ push: number; pop: number }> {
  await side.stopBroker()
  await sessionsEnded(side.sql)
  const { rows } = await side.sql.query<{ funcname: string; total_time: number }>(
    // In the database a function's name ends in the version of its build.
    `SELECT regexp_replace(funcname, '_[0-9a-f]{8}$', '') AS funcname, sum(total_time) AS total_time
       FROM pg_stat_user_functions WHERE schemaname = 'queen' GROUP BY 1`,
  )
  const micros = (name: string): number => {
    const row = rows.find(({ funcname }) => funcname === name)
    if (row === undefined) throw new Error(`PostgreSQL counted no time of queen.${name}`)
    return (row.total_time * 1000) / side.messages
  }
  return { push: micros(FUNCTIONS.push), pop: micros(FUNCTIONS.pop) }
}

async function sessionsEnded(sql: pg.Client): Promise<void> {
  for (;;) {
    const { rows } = await sql.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    )
    if (rows.length === 0) return
    await pause(POLL_MS)
  }
}
