/**
 * How long every read takes on a large database: 10,000 queues, 100,000 partitions, 11 million messages, 200,000 cursors,
 * 100,000 dead letters, 100,000 traces, a month of figures of 1,000 busy queues.
 *
 *   node packages/broker/bench/reads.ts            seeds a server of its own, asks every read nine times, prints a table
 *   node packages/broker/bench/reads.ts --plain    the same without ANALYZE: a database that grew within minutes
 *
 * Takes some two minutes and 2 GB of disk below the temporary directory, and leaves nothing behind.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, startTestPostgres } from '@queen/embedded-postgres/testing'
import pg from 'pg'
import { pino } from 'pino'
import { startBroker } from '../src/app.ts'
import { readConfig } from '../src/config/read-config.ts'
import { writeFrame } from '../src/engine/format/frame.ts'
import { KEY_BYTES, writeTransactionKey } from '../src/engine/format/transaction-key.ts'

const MESSAGES = 100
// More than the five after which PostgreSQL may keep a plan.
const ROUNDS = 9

const server = await startTestPostgres({ settings: { shared_buffers: '256MB', max_wal_size: '4GB' } })
const { url } = await createDatabase(server.url)
const dataDir = mkdtempSync(join(tmpdir(), 'queen-reads-bench-'))
const { config } = readConfig(
  { PORT: '0', DATABASE_URL: url, QUEEN_DATA_DIR: dataDir, INSTANCE_ID: 'bench', FILE_BUFFER_DISK_FREE_BYTES_MIN: '0' },
  { workingDir: dataDir, projectDir: dataDir, hostname: 'bench' },
)
const broker = await startBroker(config, { databaseUrl: url, log: pino({ level: 'silent' }) })
const sql = new pg.Client({ connectionString: url })
await sql.connect()
try {
  await seed()
  await measure()
} finally {
  await sql.end()
  await broker.stop()
  await server.remove()
  rmSync(dataDir, { recursive: true, force: true })
}

async function seed(): Promise<void> {
  const begun = performance.now()
  const frames = Buffer.alloc(64 * 1024)
  const keys = Buffer.alloc(MESSAGES * KEY_BYTES)
  frames[0] = 0
  let at = 1
  for (let i = 0; i < MESSAGES; i++) {
    const content = {
      flags: 0,
      transactionId: Buffer.from(`tx-${i}`),
      traceId: null,
      producerSub: null,
      payload: Buffer.from('{"n":1}'),
    }
    at = writeFrame(frames, at, content)
    writeTransactionKey(`tx-${i}`, keys, i * KEY_BYTES)
  }
  const body = frames.subarray(0, at)
  await sql.query(`
    INSERT INTO queen.queues (id, name, namespace, task)
    SELECT gen_random_uuid(), 'q' || i, 'ns' || i % 50, 'task' || i % 20 FROM generate_series(1, 10000) i;
    INSERT INTO queen.partitions (id, queue_id, name, next_offset, last_pushed_at)
    SELECT gen_random_uuid(), q.id, 'p' || p, ${MESSAGES}, now() - random() * interval '2 hours'
      FROM queen.queues q CROSS JOIN LATERAL generate_series(1, CASE WHEN q.name = 'q1' THEN 50000 ELSE 5 END) p;
    UPDATE queen.partitions SET next_offset = 1000000 WHERE (name, queue_id) = ('p1', (SELECT id FROM queen.queues WHERE name = 'q2'));`)
  await sql.query(
    `INSERT INTO queen.segments (partition_id, first_offset, last_offset, created_at, id_base, body, keys)
     SELECT p.id, s, s + ${MESSAGES - 1}, p.last_pushed_at - (p.next_offset - ${MESSAGES} - s) * interval '1 ms',
            ('0190a1b2-c3d4-7000-8000-' || lpad(to_hex((random() * 1e12)::bigint), 12, '0'))::uuid, $1::bytea, $2::bytea
       FROM queen.partitions p CROSS JOIN LATERAL generate_series(0, p.next_offset - 1, ${MESSAGES}) s
      ORDER BY p.last_pushed_at`,
    [body, keys],
  )
  await sql.query(
    `INSERT INTO queen.cursors (partition_id, group_name, committed, acked, completed_count, batch_count, last_consumed_at)
     SELECT p.id, g, c.at, CASE WHEN c.at = 50 THEN '{[60,70)}' ELSE '{}' END::int8multirange, c.at, 1, now()
       FROM queen.partitions p CROSS JOIN unnest(ARRAY['__QUEUE_MODE__', 'audit']) g
      CROSS JOIN LATERAL (SELECT CASE WHEN p.next_offset > ${MESSAGES} THEN 100 WHEN random() < 0.5 THEN 50 ELSE ${MESSAGES} END AS at) c`,
  )
  await sql.query(
    `INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id, frame, error_message, retry_count, created_at, failed_at)
     SELECT p.id, '__QUEUE_MODE__', o, p.queue_id, gen_random_uuid(), 'tx-' || o, $1::bytea, 'error ' || o % 7, 3, now(), now() - random() * interval '1 day'
       FROM (SELECT * FROM queen.partitions WHERE name LIKE 'p%' ORDER BY id LIMIT 10000) p CROSS JOIN generate_series(0, 9) o`,
    [body.subarray(1, 1 + 7 + 4 + 7)],
  )
  await sql.query(`
    INSERT INTO queen.traces (id, partition_id, message_offset, transaction_id, group_name, event_type, data, names, created_at)
    SELECT gen_random_uuid(), p.id, 0, 'tx-0', 'audit', 'info', '{"step": 1}', ARRAY['name' || (row_number() OVER ()) % 1000], now() - random() * interval '1 day'
      FROM (SELECT id FROM queen.partitions ORDER BY id LIMIT 100000) p;
    INSERT INTO queen.trace_links SELECT n, t.created_at, t.id FROM queen.traces t CROSS JOIN unnest(t.names) n;
    INSERT INTO queen.trace_names SELECT l.name, count(*), count(*), max(l.created_at) FROM queen.trace_links l GROUP BY 1;`)
  for (const [step, points] of [
    [1, 60],
    [15, 96],
    [60, 720],
    [1440, 30],
  ]) {
    await sql.query(
      `INSERT INTO queen.queue_metrics SELECT ${step}, q.id, date_bin('${step} minutes', now(), 'epoch') - n * interval '${step} minutes', 'bench',
         1, 100, 1, 100, 0, 1, 100, 0, 0, 0, 5000, 90, 10, 0, 0, 0, 0, 5, 0, 0
        FROM (SELECT id FROM queen.queues WHERE substr(name, 2)::int <= 1000) q CROSS JOIN generate_series(0, ${points}) n`,
    )
  }
  if (!process.argv.includes('--plain')) await sql.query('ANALYZE')
  const { rows } = await sql.query(
    'SELECT sum(last_offset - first_offset + 1) AS messages, count(*) AS segments FROM queen.segments',
  )
  console.log(
    `seeded ${rows[0].messages} messages in ${rows[0].segments} segments in ${Math.round((performance.now() - begun) / 1000)} s`,
  )
}

async function measure(): Promise<void> {
  const { rows } = await sql.query(
    "SELECT p.id FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = 'q2' AND p.name = 'p1'",
  )
  const giant: string = rows[0].id
  // The first counts take longer than later ones: nothing is in PostgreSQL's memory yet.
  const first = await refresh()
  console.log(`first count of all: ${first.answers} answers, the slowest ${first.slowestMs.toFixed(0)} ms`)
  const list = await (await fetch(`${broker.url}/api/v1/messages?limit=200`)).json()
  const deep = await follow('/api/v1/messages?limit=1000', 20)
  const day = new Date(Date.now() - 86_400_000).toISOString()
  const month = new Date(Date.now() - 29 * 86_400_000).toISOString()
  const paths = [
    '/api/v1/messages',
    '/api/v1/messages?limit=1000',
    `/api/v1/messages?limit=1000&after=${deep}`,
    `/api/v1/messages?after=${list.pagination.next}`,
    '/api/v1/messages?queue=q1',
    '/api/v1/messages?queue=q7777',
    '/api/v1/messages?ns=ns7',
    '/api/v1/messages?status=pending',
    '/api/v1/messages?status=processing',
    '/api/v1/messages?traceId=0190a1b2-c3d4-4e5f-8a9b-0c1d2e3f4a5b',
    '/api/v1/messages?offset=100000',
    `/api/v1/messages/${giant}/tx-5`,
    `/api/v1/messages/${giant}/not-there`,
    '/api/v1/messages/not-there-at-all',
    '/api/v1/dlq',
    '/api/v1/dlq?limit=1000&queue=q1',
    '/api/v1/dlq?consumerGroup=__QUEUE_MODE__&partition=p3',
    '/api/v1/consumer-groups',
    '/api/v1/consumer-groups?queue=q1',
    '/api/v1/consumer-groups/lagging?minLagSeconds=60',
    '/api/v1/consumer-groups/audit',
    '/api/v1/traces/names',
    '/api/v1/traces/names?search=99',
    '/api/v1/traces/by-name/name7',
    '/api/v1/resources/overview',
    '/api/v1/resources/queues?limit=100',
    '/api/v1/resources/queues',
    '/api/v1/resources/queues?search=99',
    '/api/v1/resources/queues/q1',
    '/api/v1/resources/queues/q5',
    '/api/v1/resources/partitions',
    '/api/v1/resources/partitions?queue=q1&offset=40000',
    '/api/v1/resources/partitions?search=p3',
    '/api/v1/resources/namespaces',
    '/api/v1/status',
    '/api/v1/status?queue=q1',
    '/api/v1/status?namespace=ns7',
    `/api/v1/status?namespace=ns7&from=${day}`,
    '/api/v1/status/queues',
    '/api/v1/status/queues/q1',
    '/api/v1/status/queues/q1/messages',
    '/api/v1/status/analytics',
    '/api/v1/analytics/queue-ops',
    `/api/v1/analytics/queue-ops?from=${month}`,
    '/api/v1/analytics/queue-lag?queue=q5',
    '/api/v1/analytics/worker-metrics',
    '/api/v1/analytics/system-metrics',
    '/api/v1/analytics/retention',
    '/api/v1/analytics/postgres-stats',
    '/metrics/prometheus',
  ]
  console.log('\n  median     max    bytes  read')
  for (const path of paths) {
    const times: number[] = []
    let bytes = 0
    let status = 0
    for (let round = 0; round < ROUNDS; round++) {
      const begun = performance.now()
      const answer = await fetch(`${broker.url}${path}`)
      bytes = (await answer.text()).length
      status = answer.status
      times.push(performance.now() - begun)
    }
    times.sort((a, b) => a - b)
    const shown = `${times[ROUNDS >> 1]!.toFixed(0).padStart(5)} ms${times.at(-1)!.toFixed(0).padStart(5)} ms ${String(bytes).padStart(8)}`
    console.log(`${shown}  ${path.replace(giant, '<giant>').slice(0, 80)}${status === 200 ? '' : `  (${status})`}`)
  }
  for (const [what, from, to] of [
    ['nothing was written to', 0, 0],
    ['1,000 small queues were written to', 100, 1_100],
    ['every queue but the largest was written to', 2, 10_000],
  ] as const) {
    await sql.query(
      `UPDATE queen.partitions p SET last_pushed_at = now() FROM queen.queues q
        WHERE q.id = p.queue_id AND p.name = 'p2' AND substr(q.name, 2)::int BETWEEN $1 AND $2`,
      [from, to],
    )
    const begun = performance.now()
    const refreshed = await refresh()
    const tookMs = (performance.now() - begun).toFixed(0)
    const answered = `${refreshed.slowestMs.toFixed(0)} ms for the slowest of ${refreshed.answers} answers`
    console.log(`stats refresh ${tookMs} ms, ${answered}, of ${refreshed.partitions} partitions, after ${what}`)
  }
  console.log(`RSS ${Math.round(process.memoryUsage.rss() / 1024 / 1024)} MB`)
}

/** Counts anew, asking again until that is done. */
async function refresh(): Promise<{ answers: number; slowestMs: number; partitions: number }> {
  let slowestMs = 0
  let since: string | null = null
  for (let answers = 1; ; answers++) {
    const begun = performance.now()
    const request = { method: 'POST', body: JSON.stringify({ since }) }
    const answer = await (await fetch(`${broker.url}/api/v1/stats/refresh`, request)).json()
    slowestMs = Math.max(slowestMs, performance.now() - begun)
    if (answer.complete) return { answers, slowestMs, partitions: answer.partition.partitionsUpdated }
    since = answer.since
  }
}

/** The token of the page after `pages` of them. */
async function follow(path: string, pages: number): Promise<string> {
  let after = ''
  for (let page = 0; page < pages; page++) {
    const answer = await (await fetch(`${broker.url}${path}${after === '' ? '' : `&after=${after}`}`)).json()
    if (answer.pagination.next === null) break
    after = answer.pagination.next
  }
  return after
}
