/**
 * The hot statements have one plan: nested loops over primary keys, the same on tables that were never analysed as on
 * analysed ones, whatever their size. Seen through auto_explain, with the session settings of the message paths.
 */
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readAckCursors } from '../../src/store/ack-reads.ts'
import { claimKnown } from '../../src/store/claim-known.ts'
import { finishLeases } from '../../src/store/finish-leases.ts'
import { hotSettings } from '../../src/store/pool/settings.ts'
import { readAhead } from '../../src/store/read-ahead.ts'
import { ownFunctions } from '../../src/store/schema/functions.ts'
import type { Sql } from '../../src/store/sql.ts'
import { type ConsumeFixture, names, openFixture } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** What a verb of the store sends for one call. */
async function sentBy(verb: (sql: Sql) => Promise<unknown>): Promise<Call> {
  let call: Call | null = null
  await verb({
    async run(_name, text, values) {
      call = { text, values: values as unknown[] }
      return []
    },
  })
  return call!
}

interface Call {
  readonly text: string
  readonly values: unknown[]
}

const claim = { group: 'g', position: 0, leasedTo: 5, leaseMs: 1, short: true }
const STATEMENTS: Record<string, (id: string) => Promise<Call>> = {
  'known claim': (partitionId) => sentBy((sql) => claimKnown(sql, [{ ...claim, partitionId, leaseId: 'l' }])),
  'known autoAck': (partitionId) => sentBy((sql) => claimKnown(sql, [{ ...claim, partitionId, leaseId: null }])),
  'whole lease': (partitionId) =>
    sentBy((sql) => finishLeases(sql, [{ ...claim, partitionId, leaseId: 'l', next: null }])),
  'whole lease and the next': (partitionId) =>
    sentBy((sql) =>
      finishLeases(sql, [{ ...claim, partitionId, leaseId: 'l', next: { leaseId: 'n', leasedTo: 9, leaseMs: 1 } }]),
    ),
  'cursors of acks': (partitionId) =>
    sentBy((sql) =>
      readAckCursors(sql, { places: [{ partitionId, group: 'g' }], partitionIds: [partitionId], leaseIds: ['l'] }),
    ),
  'read ahead': (partitionId) => sentBy((sql) => readAhead(sql, [{ partitionId, from: 0, to: 5 }], 1000, 10)),
}

const CALLS: Record<string, (id: string) => string> = {
  pop: (id) =>
    `SELECT * FROM queen.pop_messages('{${id}}', '{g}', '{0}', '{5}', '{l}', '{f}', '{0}', '{0}', '{0}', '{0}', '{0}', 1000, true, '{all}', '{NULL}')`,
  ack: (id) =>
    `SELECT * FROM queen.ack_messages('{${id}}', '{g}', '{l}', '{"{[0,5)}"}', '{5}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
  reconcile: (id) =>
    `SELECT * FROM queen.reconcile_partitions((SELECT queue_id FROM queen.partitions WHERE id = '${id}'), 'g', '', 100, 0, 'all', NULL)`,
}

/** The plan's nodes without numbers; `queen` tables only through indexes. */
async function plansOf(id: string): Promise<Record<string, string[]>> {
  const client = new pg.Client({ connectionString: fixture.url })
  await client.connect()
  try {
    const limits = { lockTimeoutMs: 1000, statementTimeoutMs: 5000 }
    for (const [name, value] of Object.entries(hotSettings(limits)))
      await client.query(`SELECT set_config($1, $2, false)`, [name, value])
    await client.query(
      `LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET client_min_messages = log`,
    )
    const plans: Record<string, string[]> = {}
    const calls = Object.entries(CALLS).map(([name, call]): [string, Call] => [name, { text: call(id), values: [] }])
    for (const [name, make] of Object.entries(STATEMENTS)) calls.push([name, await make(id)])
    for (const [name, { text, values }] of calls) {
      const nodes: string[] = []
      const listen = (notice: { message: string | undefined }): void => {
        for (const line of (notice.message ?? '').split('\n')) {
          const node = /^\s*(?:->\s+)?((?:Nested Loop|Hash|Merge|Seq Scan|Bitmap|Index)[^(]*)/.exec(line)
          // Dead letters are looked at for refused acks only, and two of their indexes lead to the same few rows.
          if (node !== null && !/Cond|Searches|dead_letters/.test(line)) nodes.push(node[1]!.trim())
        }
      }
      client.on('notice', listen)
      await client.query(ownFunctions().bind(text), values)
      client.off('notice', listen)
      plans[name] = nodes
    }
    return plans
  } finally {
    await client.end()
  }
}

it('plans the same before and after ANALYZE, without scans or joins that depend on statistics', async () => {
  const queueId = await fixture.createQueue('plans')
  const partitionId = await fixture.createPartition(queueId, 'Default')
  await fixture.append(partitionId, names('m', 10))
  // The first claim creates the cursor; from then on every call runs the same statements.
  await plansOf(partitionId)
  const fresh = await plansOf(partitionId)
  await fixture.sql(
    `INSERT INTO queen.segments SELECT partition_id, 10 + g, 10 + g, created_at, id_base, body, keys FROM queen.segments, generate_series(0, 20000) g`,
  )
  await fixture.sql(
    `INSERT INTO queen.partitions (id, queue_id, name) SELECT gen_random_uuid(), $1::uuid, 'x' || g FROM generate_series(1, 5000) g`,
    [queueId],
  )
  await fixture.sql(`INSERT INTO queen.cursors (partition_id, group_name) SELECT id, 'h' FROM queen.partitions`)
  const grown = await plansOf(partitionId)
  await fixture.sql('ANALYZE')
  const analysed = await plansOf(partitionId)
  expect(grown).toEqual(fresh)
  expect(analysed).toEqual(fresh)
  for (const nodes of Object.values(fresh)) {
    expect(nodes.some((node) => node.startsWith('Index'))).toBe(true)
    expect(nodes.filter((node) => /Seq Scan|Hash|Merge|Bitmap/.test(node))).toEqual([])
  }
})
