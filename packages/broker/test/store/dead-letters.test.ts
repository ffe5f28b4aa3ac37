import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PayloadCipher } from '../../src/engine/cipher.ts'
import { FrameFlag, frameBytes, writeFrame } from '../../src/engine/format/frame.ts'
import { createDeadLetters } from '../../src/engine/settle/dead-letters.ts'
import type { DeadLetterQuery } from '../../src/engine/types.ts'
import { createDeadLetterStore } from '../../src/store/dead-letters.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { type OpenedTestDatabase, openTestDatabase, silent } from './test-database.ts'

const cipher = new PayloadCipher(createSecretKey(randomBytes(32)))
const TRACE = '0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'

let opened: OpenedTestDatabase
let engine: ReturnType<typeof createDeadLetters>
let queueId: string
let partitions: Record<string, string>

function frame(payload: Uint8Array, flags = 0, traceId: string | null = null, sub: string | null = null): Buffer {
  const content = {
    flags,
    transactionId: Buffer.from('tx'),
    traceId: traceId === null ? null : Buffer.from(traceId.replaceAll('-', ''), 'hex'),
    producerSub: sub === null ? null : Buffer.from(sub),
    payload,
  }
  const target = Buffer.alloc(frameBytes(content))
  writeFrame(target, 0, content)
  return target
}

async function bury(partition: string, group: string, offset: number, failedAt: string, bytes: Buffer): Promise<void> {
  await opened.database.admin.run(
    'bury',
    `INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id,
       frame, error_message, retry_count, created_at, failed_at)
     VALUES ($1::uuid, $2::text, $3::bigint, $4::uuid, $5::uuid, $6::text, $7::bytea, 'why', 3,
       '2026-01-01T00:00:00Z', $8::timestamptz)`,
    [partitions[partition], group, offset, queueId, randomUUID(), `tx-${offset}`, bytes, failedAt],
  )
}

const query = (more: Partial<DeadLetterQuery> = {}): DeadLetterQuery => ({
  queue: null,
  consumerGroup: null,
  partition: null,
  from: null,
  to: null,
  limit: 100,
  offset: 0,
  after: null,
  ...more,
})
const ids = async (more: Partial<DeadLetterQuery>) =>
  (await engine.listDeadLetters(query(more))).rows.map((row) => row.transactionId)

beforeAll(async () => {
  opened = await openTestDatabase()
  engine = createDeadLetters({ store: createDeadLetterStore(opened.database), cipher, log: silent })
  const queues = createQueueStore(opened.database)
  queueId = (await queues.ensureQueues([{ name: 'q', namespace: 'ns', task: 'tk' }]))[0]!.id
  const created = await queues.ensurePartitions(['a', 'b'].map((name) => ({ queueId, name })))
  partitions = Object.fromEntries(created.map(({ id, name }) => [name, id]))
  await bury('a', 'g1', 1, '2026-02-01T00:00:00.000001Z', frame(Buffer.from('{"b":1,"a":12345678901234567890}')))
  await bury('a', 'g1', 2, '2026-02-02T00:00:00Z', frame(Buffer.from('"x"'), 0, TRACE, 'süb'))
  await bury('b', 'g1', 3, '2026-02-02T00:00:00Z', frame(cipher.encrypt(Buffer.from('[true]')), FrameFlag.ENCRYPTED))
  await bury('b', 'g2', 4, '2026-02-04T00:00:00Z', frame(Buffer.from('4')))
  await bury('a', 'g2', 5, '2026-02-05T00:00:00Z', frame(randomBytes(60), FrameFlag.ENCRYPTED))
})
afterAll(() => opened[Symbol.asyncDispose]())

describe('listDeadLetters', () => {
  it('shows every field, newest first, payloads byte for byte and decrypted', async () => {
    const { rows, total, hasMore, next } = await engine.listDeadLetters(query())
    expect({ total, hasMore, next }).toEqual({ total: 5, hasMore: false, next: null })
    expect(rows.map((row) => row.transactionId)).toEqual(['tx-5', 'tx-4', 'tx-3', 'tx-2', 'tx-1'])
    expect(rows.map((row) => row.data.toString())).toEqual([
      'null',
      '4',
      '[true]',
      '"x"',
      '{"b":1,"a":12345678901234567890}',
    ])
    expect({ ...rows[3], id: null }).toEqual({
      id: null,
      transactionId: 'tx-2',
      partitionId: partitions.a,
      queue: 'q',
      partition: 'a',
      namespace: 'ns',
      task: 'tk',
      consumerGroup: 'g1',
      errorMessage: 'why',
      retryCount: 3,
      data: Buffer.from('"x"'),
      traceId: TRACE,
      producerSub: 'süb',
      createdAt: '2026-01-01T00:00:00.000Z',
      failedAt: '2026-02-02T00:00:00.000Z',
    })
  })

  it('filters by queue, group, partition and time, alone and together', async () => {
    expect(await ids({ queue: 'q' })).toHaveLength(5)
    expect(await ids({ queue: 'unknown' })).toEqual([])
    expect(await ids({ consumerGroup: 'g2' })).toEqual(['tx-5', 'tx-4'])
    expect(await ids({ partition: 'b' })).toEqual(['tx-4', 'tx-3'])
    expect(await ids({ queue: 'q', partition: 'b', consumerGroup: 'g1' })).toEqual(['tx-3'])
    expect(await ids({ from: '2026-02-02T00:00:00Z', to: '2026-02-04T00:00:00Z' })).toEqual(['tx-4', 'tx-3', 'tx-2'])
  })

  it('pages by offset and by key without skipping or repeating, also over equal times', async () => {
    expect(await ids({ limit: 2, offset: 1 })).toEqual(['tx-4', 'tx-3'])
    const seen: string[] = []
    let after: string | null = null
    do {
      const page = await engine.listDeadLetters(query({ limit: 1, offset: 3, after }))
      if (after === null) seen.push('tx-5', 'tx-4', 'tx-3')
      expect(page.total).toBe(5)
      seen.push(...page.rows.map((row) => row.transactionId))
      after = page.next
    } while (after !== null)
    expect(seen).toEqual(['tx-5', 'tx-4', 'tx-3', 'tx-2', 'tx-1'])
  })

  it('G9 cuts a page whose payloads are too large together, and goes on behind it', async () => {
    const store = createDeadLetterStore(opened.database)
    const page = { limit: 100, offset: 0, after: null, bytesMax: 1 }
    const first = await store.listDeadLetters(query(), page)
    expect(first.rows).toHaveLength(1)
    expect(first.hasMore).toBe(true)
    const second = await store.listDeadLetters(query(), { ...page, after: first.rows[0]!.position })
    expect(second.rows.map((row) => row.transactionId)).toEqual(['tx-4'])
  })

  it.each([
    '',
    'x',
    Buffer.from('2026-02-30 00:00:00+00/1').toString('base64url'),
    Buffer.from('2026-02-03 00:00:00+00/1e3').toString('base64url'),
    '%'.repeat(1_000),
  ])('refuses the made-up position %j', async (after) => {
    await expect(engine.listDeadLetters(query({ after }))).rejects.toMatchObject({ code: 'INVALID_PARAMETER' })
  })
})
