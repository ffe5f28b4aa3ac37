/**
 * What maintenance costs while there is none: push in short slices, in turn as it is and with the same SQL functions
 * without the fence and without looking at the switch. (What else it costs is a property read for each push, and a
 * heartbeat of one statement every two seconds, which both ways have.)
 */
import type pg from 'pg'
import { runPushLoad } from '../load/push-load.ts'
import { inTurn } from './in-turn.ts'
import { PRODUCERS, RAMP_MS, type Row, usualShape } from './row.ts'
import { expectStored } from './stored-messages.ts'

const SLICE_SECONDS = 2

const FENCE = /PERFORM pg_catalog\.pg_advisory_xact_lock_shared\(queen\.fence_key\w*\(\)\);/
const SWITCH = /SELECT pg_catalog\.bool_or\(s\.key = 'maintenance_mode'[\s\S]*?(?=,\s*pg_catalog\.max\()/
const BOTH_KEYS = "s.key IN ('maintenance_mode', 'config_version')"

export function maintenanceCostRows(): Row[] {
  return [1, 100].map((batch) => ({
    name: `push-${batch}-maintenance`,
    about: `push of ${batch}; ratio = to slices with SQL that knows no maintenance, in turn`,
    async run({ round, seconds, queue }) {
      const { url } = round.broker
      const usual = await pushFunctions(round.sql)
      const bare = usual.map(withoutMaintenance)
      let acknowledged = 0
      const slice = async (asItIs: boolean): Promise<number> => {
        for (const definition of asItIs ? usual : bare) await round.sql.query(definition)
        const outcome = await runPushLoad(url, {
          ...usualShape(queue, batch),
          connections: PRODUCERS,
          status: 'queued',
          seconds: SLICE_SECONDS,
          rampMs: RAMP_MS,
        })
        acknowledged += outcome.acknowledged
        return outcome.messagesPerSecond
      }
      try {
        const result = await inTurn(seconds, slice)
        await expectStored(round.sql, queue, acknowledged)
        return result
      } finally {
        for (const definition of usual) await round.sql.query(definition)
      }
    },
  }))
}

/** The definitions of the functions that store live pushes. */
async function pushFunctions(sql: pg.Client): Promise<string[]> {
  const { rows } = await sql.query<{ definition: string }>(
    `SELECT pg_get_functiondef(p.oid) AS definition FROM pg_proc p
      WHERE p.pronamespace = 'queen'::regnamespace AND p.proname ~ '^push_(known|messages)_'`,
  )
  if (rows.length !== 2) throw new Error(`2 functions that store pushes were expected, not ${rows.length}`)
  return rows.map((row) => row.definition)
}

function withoutMaintenance(definition: string): string {
  if (!FENCE.test(definition) || !SWITCH.test(definition) || !definition.includes(BOTH_KEYS))
    throw new Error('the fence was not found in a function that stores pushes')
  return definition.replace(FENCE, '').replace(SWITCH, 'SELECT false').replace(BOTH_KEYS, "s.key = 'config_version'")
}
