/** A whole broker on a fresh database, asked over real HTTP. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase } from '@queen/embedded-postgres/testing'
import pg from 'pg'
import { pino } from 'pino'
import { type BrokerOptions, startBroker } from '../../src/app.ts'
import { readConfig } from '../../src/config/read-config.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Json = any

export interface RunningBroker extends AsyncDisposable {
  readonly url: string
  readonly databaseUrl: string
  readonly sql: pg.Client
  ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: Json; text: string }>
  get(path: string): Promise<Json>
  post(path: string, body?: unknown): Promise<Json>
  /** Counts anew and waits for it, however long a busy machine takes; `durationMs` of all of it. */
  refresh(): Promise<Json>
  push(queue: string, partition: string, transactionIds: readonly string[], more?: object): Promise<string>
  pop(queue: string, query?: string): Promise<Json>
}

export async function runBroker(
  env: Record<string, string> = {},
  seams: BrokerOptions['seams'] = {},
): Promise<RunningBroker> {
  const database = await createDatabase()
  const dataDir = mkdtempSync(join(tmpdir(), 'queen-reads-'))
  const { config } = readConfig(
    {
      PORT: '0',
      DATABASE_URL: database.url,
      QUEEN_DATA_DIR: dataDir,
      FILE_BUFFER_DISK_FREE_BYTES_MIN: '0',
      INSTANCE_ID: 'reads',
      QUEEN_ENCRYPTION_KEY: '00'.repeat(32),
      ...env,
    },
    { workingDir: dataDir, projectDir: dataDir, hostname: 'test-host' },
  )
  const broker = await startBroker(config, { databaseUrl: database.url, log: pino({ level: 'silent' }), seams })
  const sql = new pg.Client({ connectionString: database.url })
  await sql.connect()

  async function ask(method: string, path: string, body?: unknown) {
    const answer = await fetch(`${broker.url}${path}`, {
      method,
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    const json = answer.headers.get('content-type')?.includes('json') === true ? JSON.parse(text) : null
    return { status: answer.status, body: json, text }
  }
  async function good(method: string, path: string, body?: unknown): Promise<Json> {
    const answer = await ask(method, path, body)
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
    return answer.body
  }

  return {
    url: broker.url,
    databaseUrl: database.url,
    sql,
    ask,
    get: (path) => good('GET', path),
    post: (path, body) => good('POST', path, body),
    async refresh() {
      let durationMs = 0
      for (let body = {}; ; ) {
        const answer = await good('POST', '/api/v1/stats/refresh', body)
        durationMs += answer.durationMs
        if (answer.complete) return { ...answer, durationMs }
        body = { since: answer.since }
      }
    },
    async push(queue, partition, transactionIds, more = {}) {
      const items = transactionIds.map((transactionId) => ({
        queue,
        partition,
        transactionId,
        payload: { id: transactionId },
        ...more,
      }))
      const results = await good('POST', '/api/v1/push', { items })
      const bad = results.find((each: Json) => each.status !== 'queued')
      if (bad !== undefined) throw new Error(JSON.stringify(bad))
      return results[0].partition_id
    },
    pop: (queue, query = '') => good('GET', `/api/v1/pop/queue/${queue}?${query}`),
    async [Symbol.asyncDispose]() {
      await sql.end()
      await broker.stop()
      await database.drop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** Acks of a pop answer's messages. */
export function acks(answer: Json, status = 'completed') {
  return {
    acknowledgments: answer.messages.map((each: Json) => ({
      transactionId: each.transactionId,
      partitionId: each.partitionId,
      leaseId: each.leaseId,
      status,
    })),
  }
}

export const ids = (messages: Json): string[] => messages.map((each: Json) => each.transactionId)
