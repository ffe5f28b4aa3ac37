/** The operator's connection: what psql would be used for, and what only the tables can tell. */
import pg from 'pg'
import { atEnd } from './leftovers.ts'

export interface SegmentCount {
  readonly rows: number
  /** Latest created_at, milliseconds; null without rows. */
  readonly latestAtMs: number | null
}

export class Tables {
  readonly #client: pg.Client

  constructor(client: pg.Client) {
    this.#client = client
  }

  async query<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(sql, values)).rows
  }

  /** Messages that are stored for a queue, whoever has read them. */
  async messagesIn(queue: string): Promise<number> {
    const [row] = await this.query<{ count: string | null }>(
      `SELECT sum(s.last_offset - s.first_offset + 1)::text AS count FROM queen.segments s
         JOIN queen.partitions p ON p.id = s.partition_id JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = $1`,
      [queue],
    )
    return Number(row!.count ?? 0)
  }

  async segments(): Promise<SegmentCount> {
    const [row] = await this.query<{ rows: string; latest: Date | null }>(
      'SELECT count(*)::text AS rows, max(created_at) AS latest FROM queen.segments',
    )
    return { rows: Number(row!.rows), latestAtMs: row!.latest?.getTime() ?? null }
  }

  /** Segments created strictly between two instants of this machine's clock. */
  async segmentsCreatedBetween(fromMs: number, toMs: number): Promise<number> {
    const [row] = await this.query<{ count: string }>(
      'SELECT count(*)::text AS count FROM queen.segments WHERE created_at > $1 AND created_at < $2',
      [new Date(fromMs), new Date(toMs)],
    )
    return Number(row!.count)
  }

  /** Whether a statement with this text waits for a lock. */
  async isWaiting(text: string): Promise<boolean> {
    const rows = await this.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
          AND state = 'active' AND strpos(query, $1) > 0`,
      [text],
    )
    return rows.length > 0
  }

  async names(): Promise<string[]> {
    const rows = await this.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'queen' AND c.relkind = 'r' ORDER BY 1`,
    )
    return rows.map((row) => row.name)
  }

  end(): Promise<void> {
    return this.#client.end()
  }
}

export async function openTables(databaseUrl: string): Promise<Tables> {
  const client = new pg.Client({ connectionString: databaseUrl })
  // A server that is killed under the connection is what some tests are about.
  client.on('error', () => {})
  await client.connect()
  atEnd(() => client.end().catch(() => {}))
  return new Tables(client)
}
