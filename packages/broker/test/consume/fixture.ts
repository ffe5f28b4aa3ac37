/**
 * What the consume tests stand on: a fresh database, queues and segments written by plain SQL (no push code), one or
 * several consumers on it.
 */
import { randomUUID } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import type { QueueOptions } from '@queen/protocol'
import { type ConsumeParts, type Consumer, createConsumer } from '../../src/engine/consume/consumer.ts'
import { frameBytes, writeFrame } from '../../src/engine/format/frame.ts'
import { MessageIdSource } from '../../src/engine/format/message-id.ts'
import { encodeSegmentBody } from '../../src/engine/format/segment-body.ts'
import { KEY_BYTES, writeTransactionKey } from '../../src/engine/format/transaction-key.ts'
import { Catalog } from '../../src/engine/queues/catalog.ts'
import { transactionIdBytes } from '../../src/engine/settle/lease-book.ts'
import type { AckItem, PopAnswer, PopRequest } from '../../src/engine/types.ts'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { createConsumeStore } from '../../src/store/consume-store.ts'
import type { QueenDatabase } from '../../src/store/pool/pool.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { openTestDatabase, silent } from '../store/test-database.ts'

const ids = new MessageIdSource()

export interface ConsumeFixture extends AsyncDisposable {
  readonly url: string
  readonly database: QueenDatabase
  readonly store: ConsumeStore
  createQueue(name: string, options?: Partial<QueueOptions>): Promise<string>
  setOptions(queueId: string, options: Partial<QueueOptions>): Promise<void>
  deleteQueue(name: string): Promise<void>
  createPartition(queueId: string, name: string): Promise<string>
  /** Appends one segment and returns its first offset. */
  append(partitionId: string, transactionIds: readonly string[], payload?: string): Promise<number>
  consumer(parts?: Partial<ConsumeParts>): Consumer
  sql<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

export async function openFixture(): Promise<ConsumeFixture> {
  const opened = await openTestDatabase({ poolSize: 6 })
  const { database, url } = opened
  const store = createConsumeStore(database)
  const consumers: Consumer[] = []
  const catalogs: Catalog[] = []
  let statements = 0
  const sql = <Row extends object>(text: string, values: readonly unknown[] = []) =>
    database.admin.run<Row>(`test_${text.length}_${statements++}`, text, values)
  /** As every statement that sees the new version would. */
  async function configurationChanged(): Promise<void> {
    const [row] = await sql<{ version: string }>(
      `UPDATE queen.system_state SET value = jsonb_build_object('version', (value ->> 'version')::bigint + 1)
        WHERE key = 'config_version' RETURNING value ->> 'version' AS version`,
    )
    for (const catalog of catalogs) catalog.noticeVersion(Number(row!.version))
  }
  return {
    url,
    database,
    store,
    sql,
    async createQueue(name, options = {}) {
      const id = randomUUID()
      const [namespace = '', task = ''] = name.split('.', 2)
      await sql(
        'INSERT INTO queen.queues (id, name, namespace, task, options) VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::jsonb)',
        [id, name, namespace, task, JSON.stringify(options)],
      )
      await configurationChanged()
      return id
    },
    async setOptions(queueId, options) {
      await sql('UPDATE queen.queues SET options = options || $2::jsonb WHERE id = $1::uuid', [
        queueId,
        JSON.stringify(options),
      ])
      await configurationChanged()
    },
    async deleteQueue(name) {
      await sql('SELECT queen.delete_queue($1::text)', [name])
      await configurationChanged()
    },
    async createPartition(queueId, name) {
      const id = randomUUID()
      await sql('INSERT INTO queen.partitions (id, queue_id, name) VALUES ($1::uuid, $2::uuid, $3::text)', [
        id,
        queueId,
        name,
      ])
      return id
    },
    async append(partitionId, transactionIds, payload = '{"n":1}') {
      const { body, keys } = segmentBytes(transactionIds, payload)
      const [row] = await sql<{ first: string }>(
        `WITH p AS (UPDATE queen.partitions SET next_offset = next_offset + $2::int, last_pushed_at = clock_timestamp()
                     WHERE id = $1::uuid RETURNING next_offset, last_pushed_at)
         INSERT INTO queen.segments (partition_id, first_offset, last_offset, created_at, id_base, body, keys)
         SELECT $1::uuid, p.next_offset - $2::int, p.next_offset - 1, p.last_pushed_at, $3::uuid, $4::bytea, $5::bytea FROM p
         RETURNING first_offset AS first`,
        [partitionId, transactionIds.length, ids.take(transactionIds.length, Date.now()), body, keys],
      )
      return Number(row!.first)
    },
    consumer(parts = {}) {
      const catalog = new Catalog({ store: createQueueStore(database), log: silent, nowMs: Date.now })
      catalogs.push(catalog)
      const consumer = createConsumer({
        store,
        catalog,
        log: silent,
        settings: { segmentCacheBytesMax: 8 << 20, waitingPopsMax: 1000 },
        notificationsWork: () => true,
        hint: () => {},
        ...parts,
      })
      consumer.start()
      consumers.push(consumer)
      return consumer
    },
    async [Symbol.asyncDispose]() {
      for (const consumer of consumers) await consumer.stop()
      for (const catalog of catalogs) catalog.stop()
      await opened[Symbol.asyncDispose]()
    },
  }
}

/** A body that is only read, and small enough to fill large segments with. */
function packed(frames: Buffer): Buffer {
  return Buffer.concat([Buffer.of(1), zstdCompressSync(frames)])
}

export function segmentBytes(transactionIds: readonly string[], payload: string): { body: Buffer; keys: Buffer } {
  const contents = transactionIds.map((transactionId) => ({
    flags: 0,
    transactionId: Buffer.from(transactionId),
    traceId: null,
    producerSub: null,
    payload: Buffer.from(payload),
  }))
  const frames = Buffer.alloc(contents.reduce((sum, content) => sum + frameBytes(content), 0))
  const keys = Buffer.alloc(transactionIds.length * KEY_BYTES)
  let at = 0
  contents.forEach((content, index) => {
    at = writeFrame(frames, at, content)
    writeTransactionKey(transactionIds[index]!, keys, index * KEY_BYTES)
  })
  return { body: frames.length < 4096 ? encodeSegmentBody(frames) : packed(frames), keys }
}

export function popRequest(request: Partial<PopRequest> = {}): PopRequest {
  return {
    queue: 'q',
    partition: null,
    namespace: null,
    task: null,
    consumerGroup: '__QUEUE_MODE__',
    batch: 1,
    partitions: 1,
    wait: false,
    timeoutMs: 30_000,
    autoAck: false,
    subscription: { mode: 'all' },
    ...request,
  }
}

export const never = new AbortController().signal

/** transactionIds of an answer, in delivery order. */
export function delivered(answer: PopAnswer): string[] {
  return answer.runs.flatMap(({ segment, indices }) =>
    indices.map((index) => Buffer.from(transactionIdBytes(segment, index), 'latin1').toString()),
  )
}

export function acksOf(answer: PopAnswer, status: AckItem['status'] = 'completed'): AckItem[] {
  return answer.runs.flatMap(({ partition, segment, indices }) =>
    indices.map((index) => ({
      transactionId: Buffer.from(transactionIdBytes(segment, index), 'latin1').toString(),
      partitionId: partition.id,
      status,
      leaseId: answer.leaseId,
      consumerGroup: null,
      error: null,
    })),
  )
}

export function names(prefix: string, count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${from + index}`)
}
