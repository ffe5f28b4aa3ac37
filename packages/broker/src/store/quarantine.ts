/** The quarantine on PostgreSQL: rows in queen.quarantined_records, their number in queen.quarantine_counts. */
import type { QuarantineRow, QuarantineStore, QuarantineWrite } from '../ports/quarantine-store.ts'
import type { SetAsideRecord } from '../ports/record-log.ts'
import type { Database, Sql } from './sql.ts'

interface Row {
  id: string
  instance_id: string
  queue: string
  record_number: string | null
  last_number: string | null
  file: string | null
  file_offset: string | null
  accepted_at: string | null
  quarantined_at: string
  flags: number | null
  attempts: number
  reason: SetAsideRecord['reason']
  error: string
  sql_state: string | null
  bytes: string
  body: Buffer
}

const COLUMNS = `r.id, r.instance_id, r.queue, r.record_number, r.last_number, r.file, r.file_offset, r.accepted_at,
  r.quarantined_at, r.flags, r.attempts, r.reason, r.error, r.sql_state, r.bytes, r.body`
// An answer carries payloads: a page stops growing here, and always has one row.
const PAGE_BYTES_MAX = 16 * 1024 * 1024
const ERROR_CHARS_MAX = 10_000

/** Inside the caller's transaction, or by itself. @throws StoreError */
export async function quarantineRecords(
  sql: Sql,
  instanceId: string,
  records: readonly QuarantineWrite[],
): Promise<void> {
  if (records.length === 0) return
  let end = 0
  const ends = records.map(({ body }) => {
    end += body.length
    return end
  })
  await sql.run(
    'quarantine_records',
    `SELECT queen.quarantine_records($1::text, $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],
       $8::bigint[], $9::bigint[], $10::int[], $11::int[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::int[],
       $17::bytea)`,
    [
      instanceId,
      records.map(({ id }) => id),
      records.map(({ queue }) => text(queue ?? '')),
      records.map(({ number }) => number),
      records.map(({ lastNumber }) => lastNumber),
      records.map(({ file }) => file),
      records.map(({ offset }) => offset),
      records.map(({ acceptedAtMicros }) => acceptedAtMicros),
      records.map(({ quarantinedAtMicros }) => quarantinedAtMicros),
      records.map(({ flags }) => flags),
      records.map(({ attempts }) => attempts),
      records.map(({ reason }) => reason),
      records.map(({ error }) => text(error.slice(0, ERROR_CHARS_MAX))),
      records.map(({ sqlState }) => sqlState),
      records.map(({ bytes }) => bytes),
      ends,
      Buffer.concat(records.map(({ body }) => body)),
    ],
  )
}

export function createQuarantineStore({
  admin,
  transaction,
}: Pick<Database, 'admin' | 'transaction'>): QuarantineStore {
  return {
    add: (instanceId, records) =>
      transaction('admin', async (sql) => {
        const [now] = await sql.run<{ enabled: boolean }>(
          'quarantine_switch',
          `SELECT coalesce((queen.drain_switch() ->> 'enabled')::boolean, false) AS enabled`,
          [],
        )
        if (now?.enabled === true) return 'diverted'
        await quarantineRecords(sql, instanceId, records)
        return 'added'
      }),

    async list({ queue, instance, limit, offset, after }) {
      const [counted] = await admin.run<{ total: string }>(
        'count_quarantine',
        `SELECT coalesce(sum(c.records), 0)::text AS total FROM queen.quarantine_counts c
          WHERE ($1::text IS NULL OR c.queue = $1::text) AND ($2::text IS NULL OR c.instance_id = $2::text)`,
        [queue, instance],
      )
      const total = Number(counted!.total)
      if (after === null && total <= offset) return { rows: [], total, next: null }
      const rows = await admin.run<Row & { seq: string; more: boolean }>(
        'list_quarantine',
        `WITH page AS MATERIALIZED (
           SELECT r.seq, octet_length(r.body) AS size FROM queen.quarantined_records r
            WHERE ($1::text IS NULL OR r.queue = $1::text) AND ($2::text IS NULL OR r.instance_id = $2::text)
              AND ($5::bigint IS NULL OR r.seq > $5::bigint)
            ORDER BY r.seq LIMIT $3::int + 1 OFFSET $4::bigint
         ), fits AS MATERIALIZED (
           SELECT p.seq, coalesce(sum(p.size) OVER (ORDER BY p.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
             FROM page p
         )
         SELECT ${COLUMNS}, f.seq, f.seq < (SELECT max(p.seq) FROM page p) AS more
           FROM fits f JOIN queen.quarantined_records r USING (seq)
          WHERE f.before < ${PAGE_BYTES_MAX} ORDER BY f.seq LIMIT $3::int`,
        [queue, instance, limit, after === null ? offset : 0, after],
      )
      const last = rows.at(-1)
      return { rows: rows.map(toRow), total, next: last?.more === true ? last.seq : null }
    },

    async get(id) {
      const [row] = await admin.run<Row>(
        'get_quarantined',
        `SELECT ${COLUMNS} FROM queen.quarantined_records r WHERE r.id = $1::text`,
        [id],
      )
      return row === undefined ? null : toRow(row)
    },

    async attempted(id) {
      await admin.run(
        'attempt_quarantined',
        'UPDATE queen.quarantined_records r SET attempts = r.attempts + 1 WHERE r.id = $1::text',
        [id],
      )
    },

    drop: (id) => drop(admin, id),

    dropWith: (id, work) =>
      transaction('hot', async (sql) => {
        // Its row lock makes two operators at once one after the other.
        const locked = await sql.run(
          'lock_quarantined',
          'SELECT r.seq FROM queen.quarantined_records r WHERE r.id = $1::text FOR UPDATE',
          [id],
        )
        if (locked.length === 0) return false
        await work(sql)
        // Partitions before counts, as a drain locks them that stores messages and sets others aside.
        return drop(sql, id)
      }),
  }
}

async function drop(sql: Sql, id: string): Promise<boolean> {
  const [row] = await sql.run<{ dropped: boolean }>(
    'drop_quarantined',
    'SELECT queen.drop_quarantined($1::text) AS dropped',
    [id],
  )
  return row!.dropped
}

/** PostgreSQL's text holds no NUL, and an error message may carry anything. */
function text(value: string): string {
  return value.replaceAll('\0', '\ufffd').toWellFormed()
}

function toRow(row: Row): QuarantineRow {
  const number = (value: string | null): number | null => (value === null ? null : Number(value))
  return {
    id: row.id,
    instanceId: row.instance_id,
    queue: row.queue === '' ? null : row.queue,
    number: number(row.record_number),
    lastNumber: number(row.last_number),
    file: row.file,
    offset: number(row.file_offset),
    acceptedAtMicros: number(row.accepted_at),
    quarantinedAtMicros: Number(row.quarantined_at),
    flags: row.flags,
    attempts: row.attempts,
    reason: row.reason,
    error: row.error,
    sqlState: row.sql_state,
    bytes: Number(row.bytes),
    body: row.body,
  }
}
