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
import { median } from '../report/median.ts'
import type { Rig } from '../rig/rig.ts'
import { CONSUMERS, PRODUCERS, type Row, usualShape } from './row.ts'

const TURNS = 5
const BATCH = 10
const MESSAGES_PER_TURN = 30_000
/** A session hands its statistics in at the end of a transaction, at most once a second, or 10 s after it went idle. */
const REPORT_MS = 10_500
const FUNCTIONS = { push: 'push_messages', pop: 'pop_messages' } as const

interface Side {
  readonly url: string
  readonly sql: pg.Client
  readonly pushMicros: number[]
  readonly popMicros: number[]
  close(): Promise<void>
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
          const neverPush = median(never.pushMicros)
          const neverPop = median(never.popMicros)
          const freshPush = median(fresh.pushMicros)
          const freshPop = median(fresh.popMicros)
          return {
            neverPushMicros: neverPush,
            freshPushMicros: freshPush,
            neverPopMicros: neverPop,
            freshPopMicros: freshPop,
          }
        } finally {
          await never.close()
          await fresh.close()
        }
      },
    },
  ]
}

async function openSide(rig: Rig): Promise<Side> {
  const database = await rig.createDatabase()
  // Before the broker's sessions begin, which take it over.
  await database.sql.query(`ALTER DATABASE ${database.name} SET track_functions = 'pl'`)
  const broker = await rig.startBroker(database.url)
  // Autovacuum would analyse the tables behind our back.
  await database.sql.query(`
    DO $$ DECLARE t regclass; BEGIN
      FOR t IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'queen'::regnamespace AND c.relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', t);
      END LOOP;
    END $$`)
  const close = async (): Promise<void> => {
    await broker.stop()
    await database.drop()
  }
  return { url: broker.url, sql: database.sql, pushMicros: [], popMicros: [], close }
}

async function takeTurn(side: Side, queue: string): Promise<void> {
  const before = await functionTimes(side.sql)
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
  const after = await functionTimes(side.sql)
  side.pushMicros.push(((after.push - before.push) * 1000) / acknowledged)
  side.popMicros.push(((after.pop - before.pop) * 1000) / acknowledged)
}

async function functionTimes(sql: pg.Client): Promise<{ push: number; pop: number }> {
  await pause(REPORT_MS)
  await sql.query('SELECT pg_stat_clear_snapshot()')
  const { rows } = await sql.query<{ funcname: string; total_time: number }>(
    `SELECT funcname, total_time FROM pg_stat_user_functions WHERE schemaname = 'queen' AND funcname = ANY ($1)`,
    [Object.values(FUNCTIONS)],
  )
  const time = (name: string): number => rows.find((row) => row.funcname === name)?.total_time ?? 0
  return { push: time(FUNCTIONS.push), pop: time(FUNCTIONS.pop) }
}
