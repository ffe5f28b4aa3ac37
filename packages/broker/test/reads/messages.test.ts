/** Single messages over real HTTP: list, detail, delete, retry, dead letters. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMessageActions } from '../../src/engine/reads/message-actions.ts'
import type { MessageStore } from '../../src/ports/message-store.ts'
import { openDatabase } from '../../src/store/pool/pool.ts'
import { createReadStores } from '../../src/store/reads/read-stores.ts'
import { silent, testLimits } from '../store/test-database.ts'
import { acks, ids, type Json, type RunningBroker, runBroker } from './running-broker.ts'

let queen: RunningBroker

beforeAll(async () => {
  queen = await runBroker()
})
afterAll(() => queen[Symbol.asyncDispose]())

const NOWHERE = '00000000-0000-4000-8000-000000000000'

describe('GET /api/v1/messages', () => {
  it('lists the newest first over partitions, pages by key and by offset, and shows no payload', async () => {
    await queen.push('list', 'a', ['a1', 'a2'])
    await queen.push('list', 'b', ['b1'])
    await queen.push('list', 'a', ['a3'])
    const all = await queen.get('/api/v1/messages?queue=list')
    expect(ids(all.messages)).toEqual(['a3', 'b1', 'a2', 'a1'])
    expect(all.mode).toEqual({ type: 'none', hasQueueMode: false, busGroupsCount: 0 })
    expect(all.pagination).toEqual({ limit: 200, offset: 0, hasMore: false, next: null })
    expect(all.messages[0]).toMatchObject({
      queue: 'list',
      partition: 'a',
      queuePath: 'list/a',
      namespace: 'list',
      task: '',
      status: 'pending',
      queueStatus: 'pending',
      busStatus: { consumedBy: 0, totalGroups: 0 },
      traceId: null,
      producerSub: null,
      queuePriority: 0,
      retryCount: 0,
      leaseExpiresAt: null,
    })
    expect(all.messages[0]).not.toHaveProperty('payload')
    const seen: string[] = []
    let after = ''
    for (let page = 0; page < 4; page++) {
      const { messages, pagination } = await queen.get(`/api/v1/messages?queue=list&limit=1${after}`)
      seen.push(...ids(messages))
      expect(pagination.hasMore).toBe(page < 3)
      after = `&after=${pagination.next}`
    }
    expect(seen).toEqual(['a3', 'b1', 'a2', 'a1'])
    const second = await queen.get('/api/v1/messages?queue=list&limit=2&offset=1')
    expect(ids(second.messages)).toEqual(['b1', 'a2'])
    expect(ids((await queen.get('/api/v1/messages?queue=list&partition=b')).messages)).toEqual(['b1'])
    expect(ids((await queen.get('/api/v1/messages?ns=list&limit=2')).messages)).toEqual(['a3', 'b1'])
    expect(ids((await queen.get('/api/v1/messages?limit=2')).messages)).toEqual(['a3', 'b1'])
    expect((await queen.get('/api/v1/messages?queue=list&to=2020-01-01&from=2019-01-01')).messages).toEqual([])
    expect((await queen.get('/api/v1/messages?queue=nowhere')).messages).toEqual([])
  })

  it('filters by status as everybody or one group sees it, and by trace id', async () => {
    const traceId = '0190a1b2-c3d4-4e5f-8a9b-0c1d2e3f4a5b'
    await queen.push('status', 'p', ['done', 'held', 'free'])
    await queen.push('status', 'p', ['traced'], { traceId })
    const first = await queen.pop('status', 'batch=1')
    await queen.post('/api/v1/ack/batch', acks(first))
    await queen.pop('status', 'batch=1')
    await queen.pop('status', 'batch=3&consumerGroup=audit&autoAck=true')
    const of = async (query: string) => ids((await queen.get(`/api/v1/messages?queue=status&${query}`)).messages)
    expect(await of('status=completed')).toEqual(['done'])
    expect(await of('status=processing')).toEqual(['held'])
    expect(await of('status=pending')).toEqual(['traced', 'free'])
    expect(await of('status=completed&consumerGroup=audit')).toEqual(['free', 'held', 'done'])
    expect(await of('status=pending&consumerGroup=nobody')).toEqual(['traced', 'free', 'held', 'done'])
    expect(await of('status=failed')).toEqual([])
    expect(await of(`traceId=${traceId.toUpperCase()}`)).toEqual(['traced'])
    await queen.refresh()
    const { messages, mode } = await queen.get('/api/v1/messages?queue=status&status=processing')
    expect(mode).toEqual({ type: 'hybrid', hasQueueMode: true, busGroupsCount: 1 })
    expect(messages[0]).toMatchObject({ queueStatus: 'processing', busStatus: { consumedBy: 1, totalGroups: 1 } })
    expect(Date.parse(messages[0].leaseExpiresAt)).toBeGreaterThan(Date.now())
  })

  it('shows a group what it will not get as completed, also where it has not read yet', async () => {
    await queen.push('starts', 'p', ['before'])
    await queen.ask('GET', '/api/v1/pop/queue/starts/partition/q?consumerGroup=late&subscriptionMode=new')
    await queen.push('starts', 'p', ['after'])
    const of = async (status: string) =>
      (await queen.get(`/api/v1/messages?queue=starts&consumerGroup=late&status=${status}`)).messages.map(
        (each: Json) => [each.transactionId, each.status],
      )
    expect(await of('pending')).toEqual([['after', 'pending']])
    expect(await of('completed')).toEqual([['before', 'completed']])
  })

  it('refuses what it cannot understand', async () => {
    for (const [query, code] of [
      ['status=odd', 'INVALID_PARAMETER'],
      ['limit=x', 'INVALID_PARAMETER'],
      ['after=x', 'INVALID_PARAMETER'],
      ['traceId=1', 'INVALID_PARAMETER'],
      ['from=yesterday', 'INVALID_TIMESTAMP'],
      [`queue=${'x'.repeat(256)}`, 'INVALID_NAME'],
    ]) {
      const { status, body } = await queen.ask('GET', `/api/v1/messages?${query}`)
      expect([query, status, body.code]).toEqual([query, 400, code])
    }
  })
})

describe('GET /api/v1/messages/:partitionId/:transactionId', () => {
  it('shows one message in full, the payload byte for byte, decrypted', async () => {
    await queen.post('/api/v1/configure', { queue: 'secret', options: { encryptionEnabled: true, retryLimit: 7 } })
    const push = await queen.ask(
      'POST',
      '/api/v1/push',
      '{"items":[{"queue":"secret","transactionId":"t/1","payload":{"big":12345678901234567890123,"b":1,"a":2}}]}',
    )
    const partitionId = push.body[0].partition_id
    const { text, body } = await queen.ask('GET', `/api/v1/messages/${partitionId}/${encodeURIComponent('t/1')}`)
    expect(text).toContain('"payload":{"big":12345678901234567890123,"b":1,"a":2}')
    expect(body).toMatchObject({
      id: push.body[0].message_id,
      transactionId: 't/1',
      isEncrypted: true,
      status: 'pending',
      errorMessage: null,
      retryCount: 0,
      queueConfig: { leaseTime: 300, retryLimit: 7, retryDelay: 0, ttl: 3600, priority: 0 },
      mode: { type: 'none', hasQueueMode: false, busGroupsCount: 0, consumedByGroups: 0 },
      consumerGroups: [],
    })
    expect(body).not.toHaveProperty('queueStatus')
    await queen.pop('secret', 'consumerGroup=g')
    const held = await queen.get(`/api/v1/messages/${partitionId}/t%2F1`)
    expect(held.consumerGroups).toEqual([
      { name: 'g', consumed: false, status: 'processing', retryCount: 0, leaseExpiresAt: expect.any(String) },
    ])
  })

  it('finds a message by its transactionId alone, unless several partitions have it', async () => {
    const partitionId = await queen.push('lone', 'p', ['only-here'])
    expect(await queen.get('/api/v1/messages/only-here')).toMatchObject({ partitionId, transactionId: 'only-here' })
    await queen.push('lone', 'x', ['twice'])
    await queen.push('lone', 'y', ['twice'])
    const { status, body } = await queen.ask('GET', '/api/v1/messages/twice')
    expect([status, body.code]).toEqual([409, 'AMBIGUOUS_TRANSACTION_ID'])
    expect(body.details.matches.map((each: { partition: string }) => each.partition).sort()).toEqual(['x', 'y'])
  })

  it('finds the one that is left of many, however far away', async () => {
    const places = Array.from({ length: 21 }, (_, at) => `p${at}`)
    for (const place of places) await queen.push('expired', place, ['of-many'])
    await queen.sql.query(
      `UPDATE queen.partitions p SET start_offset = 1 FROM queen.queues q WHERE q.id = p.queue_id AND q.name = 'expired'`,
    )
    // More keys than are looked through in one step.
    const filler = await queen.push('filler', 'p', ['first'])
    await queen.sql.query(
      `INSERT INTO queen.segments (partition_id, first_offset, last_offset, created_at, id_base, body, keys)
       SELECT $1::uuid, n, n, now(), gen_random_uuid(), '\\x00', decode(repeat('ab', 1600), 'hex') FROM generate_series(1, 45000) n`,
      [filler],
    )
    const left = await queen.push('left', 'p', ['of-many'])
    // Behind it, not into the room that is left before it.
    await queen.sql.query(
      `WITH m AS (DELETE FROM queen.segments s WHERE s.partition_id = $1 RETURNING s.*) INSERT INTO queen.segments SELECT * FROM m`,
      [left],
    )
    expect(await queen.get('/api/v1/messages/of-many')).toMatchObject({ partitionId: left })
    await queen.ask('DELETE', '/api/v1/resources/queues/filler')
  })

  it('says 404 for what is not there', async () => {
    const partitionId = await queen.push('missing', 'p', ['there'])
    for (const path of [
      `${partitionId}/not-there`,
      `${NOWHERE}/there`,
      'no-uuid/there',
      'nowhere-at-all',
      `${'-'.repeat(36)}/t`,
    ]) {
      const { status, body } = await queen.ask('GET', `/api/v1/messages/${path}`)
      expect([path, status, body.code]).toEqual([path, 404, 'MESSAGE_NOT_FOUND'])
    }
    const long = await queen.ask('GET', `/api/v1/messages/${partitionId}/${'x'.repeat(256)}`)
    expect([long.status, long.body.code]).toEqual([400, 'INVALID_NAME'])
  })
})

describe('DELETE /api/v1/messages/:partitionId/:transactionId', () => {
  it('takes a message away from every group, those that come later included, and its bytes off the disk', async () => {
    const partitionId = await queen.push('gone', 'p', ['one', 'two', 'three'])
    const leased = await queen.pop('gone', 'batch=3&consumerGroup=early')
    const answer = await queen.ask('DELETE', `/api/v1/messages/${partitionId}/two`)
    expect([answer.status, answer.body]).toEqual([
      200,
      { success: true, partitionId, transactionId: 'two', message: expect.any(String) },
    ])
    expect((await queen.ask('GET', `/api/v1/messages/${partitionId}/two`)).status).toBe(404)
    expect((await queen.ask('DELETE', `/api/v1/messages/${partitionId}/two`)).body.code).toBe('MESSAGE_NOT_FOUND')
    expect(ids((await queen.get('/api/v1/messages?queue=gone')).messages)).toEqual(['three', 'one'])
    expect(ids((await queen.pop('gone', 'batch=9&consumerGroup=late')).messages)).toEqual(['one', 'three'])
    // The lease goes on with the rest and ends with it.
    const rest = { messages: leased.messages.filter((each: { transactionId: string }) => each.transactionId !== 'two') }
    const results = await queen.post('/api/v1/ack/batch', acks(rest))
    expect(results.at(-1)).toMatchObject({ success: true, leaseReleased: true })
    expect((await queen.get('/api/v1/resources/queues/gone')).totals).toMatchObject({ total: 2 })
    const { rows } = await queen.sql.query(
      'SELECT count(*)::int AS n FROM queen.segments WHERE position(\'{"id":"two"}\'::bytea IN body) > 0',
    )
    expect(rows[0].n).toBe(0)
  })

  it('leaves none of the bytes of two that are deleted from one segment at once', async () => {
    const partitionId = await queen.push('both-gone', 'p', ['first', 'second', 'third'])
    const database = openDatabase({ url: queen.databaseUrl, ...testLimits, log: silent })
    try {
      const { messages } = createReadStores(database)
      const read = Promise.withResolvers<void>()
      let readers = 0
      const store: MessageStore = {
        ...messages,
        async deleteMessage(...deletion) {
          // Each has read the segment before the other rewrites it.
          if (++readers === 2) read.resolve()
          await read.promise
          return messages.deleteMessage(...deletion)
        },
      }
      const actions = createMessageActions({ store, wake: () => {} })
      await Promise.all(['first', 'second'].map((id) => actions.deleteMessage(partitionId, id)))
    } finally {
      await database.close()
    }
    const { rows } = await queen.sql.query('SELECT body FROM queen.segments WHERE partition_id = $1', [partitionId])
    expect(['first', 'second', 'third'].filter((id) => rows[0].body.includes(`{"id":"${id}"}`))).toEqual(['third'])
    expect(ids((await queen.pop('both-gone', 'batch=9')).messages)).toEqual(['third'])
  })

  it('stores what is left as it was: what a pop may hold is counted in stored bytes (G9)', async () => {
    const payload = { text: 'x'.repeat(50_000) }
    const partitionId = await queen.push('as-it-was', 'p', ['one', 'two', 'three'], { payload })
    await queen.ask('DELETE', `/api/v1/messages/${partitionId}/two`)
    const { rows } = await queen.sql.query(
      'SELECT octet_length(body) AS bytes FROM queen.segments WHERE partition_id = $1',
      [partitionId],
    )
    expect(rows[0].bytes).toBeGreaterThan(100_000)
    expect((await queen.pop('as-it-was', 'batch=9')).messages.map((each: Json) => each.data)).toEqual([
      payload,
      payload,
    ])
  })

  it('ends a lease whose last message it was, and leaves dedup evidence', async () => {
    const partitionId = await queen.push('gone2', 'p', ['one'])
    await queen.pop('gone2')
    await queen.ask('DELETE', `/api/v1/messages/${partitionId}/one`)
    const again = await queen.post('/api/v1/push', {
      items: [{ queue: 'gone2', partition: 'p', transactionId: 'one' }],
    })
    expect(again[0].status).toBe('duplicate')
    await queen.push('gone2', 'p', ['two'])
    expect(ids((await queen.pop('gone2', 'wait=true&timeout=5000')).messages)).toEqual(['two'])
  })
})

it('what was deleted one by one is neither cleared nor in the way of maxSize, and neither is what is done behind a message', async () => {
  await queen.post('/api/v1/configure', { queue: 'sized', options: { maxSize: 4 } })
  const push = async (...more: string[]): Promise<string[]> => {
    const items = more.map((transactionId) => ({ queue: 'sized', transactionId }))
    const { status, body } = await queen.ask('POST', '/api/v1/push', { items })
    return status === 201 ? body.map((each: Json) => each.status) : [body.code]
  }
  expect(await push('s1', 's2', 's3', 's4')).toEqual(['queued', 'queued', 'queued', 'queued'])
  expect(await push('s5')).toEqual(['QUEUE_FULL'])
  const [{ partitionId }] = (await queen.get('/api/v1/messages?queue=sized')).messages
  await queen.ask('DELETE', `/api/v1/messages/${partitionId}/s2`)
  await expect.poll(() => push('s5')).toEqual(['queued'])
  const held = await queen.pop('sized', 'batch=3')
  expect(ids(held.messages)).toEqual(['s1', 's3', 's4'])
  await queen.post('/api/v1/ack/batch', acks({ messages: held.messages.slice(1) }))
  await expect.poll(() => push('s6', 's7')).toEqual(['queued', 'queued'])
  expect(await push('s8')).toEqual(['QUEUE_FULL'])
  expect((await queen.ask('DELETE', '/api/v1/queues/sized/clear')).body.deletedMessages).toBe(6)
})

describe('POST …/dlq and …/retry', () => {
  it('moves a message to the dead letters and back, before everything newer, for exactly the groups asked', async () => {
    const partitionId = await queen.push('bury', 'p', ['m1', 'm2', 'm3'])
    await queen.pop('bury', 'batch=1&consumerGroup=a&autoAck=true')
    const other = await queen.pop('bury', 'batch=3&consumerGroup=b')
    const buried = await queen.post(`/api/v1/messages/${partitionId}/m1/dlq`, { error: 'odd one' })
    expect(buried).toMatchObject({ success: true, partitionId, transactionId: 'm1', consumerGroups: ['b'] })
    const detail = await queen.get(`/api/v1/messages/${partitionId}/m1`)
    expect([detail.status, detail.errorMessage]).toEqual(['dead_letter', 'odd one'])
    // The lease that held it goes on without it.
    const results = await queen.post('/api/v1/ack/batch', acks({ messages: other.messages.slice(1) }))
    expect(results.at(-1)).toMatchObject({ success: true, leaseReleased: true })
    expect(await queen.ask('GET', '/api/v1/pop/queue/bury?consumerGroup=b')).toMatchObject({ status: 204 })

    await queen.push('bury', 'p', ['m4'])
    const retried = await queen.post(`/api/v1/messages/${partitionId}/m1/retry`)
    expect(retried).toMatchObject({ success: true, consumerGroups: ['b'], message: expect.any(String) })
    const delivered = await queen.pop('bury', 'batch=9&consumerGroup=b')
    expect(ids(delivered.messages)).toEqual(['m1', 'm4'])
    expect(delivered.messages[0]).toMatchObject({ id: detail.id, data: { id: 'm1' }, retryCount: 0 })
    expect(ids((await queen.pop('bury', 'batch=9&consumerGroup=a')).messages)).toEqual(['m2', 'm3', 'm4'])
    expect((await queen.ask('POST', `/api/v1/messages/${partitionId}/m1/retry`)).body.code).toBe('NOT_DEAD_LETTERED')
  })

  it('a dead letter is one for its group also when the group is forgotten', async () => {
    const partitionId = await queen.push('forgotten', 'p', ['f1'])
    await queen.pop('forgotten', 'consumerGroup=g')
    await queen.post(`/api/v1/messages/${partitionId}/f1/dlq`, { consumerGroup: 'g', error: 'bad' })
    await queen.ask('DELETE', '/api/v1/consumer-groups/g')
    const listed = await queen.get('/api/v1/messages?queue=forgotten&consumerGroup=g&status=dead_letter')
    expect(ids(listed.messages)).toEqual(['f1'])
    expect(await queen.get(`/api/v1/messages/${partitionId}/f1`)).toMatchObject({
      status: 'dead_letter',
      errorMessage: 'bad',
    })
  })

  it('wakes a waiting consumer', async () => {
    const partitionId = await queen.push('wake', 'p', ['m1'])
    await queen.post(`/api/v1/messages/${partitionId}/m1/dlq`)
    expect((await queen.get('/api/v1/dlq?queue=wake')).messages[0]).toMatchObject({
      consumerGroup: '__QUEUE_MODE__',
      errorMessage: 'Moved to DLQ by operator',
      retryCount: 0,
    })
    const waiting = queen.pop('wake', 'wait=true&timeout=10000')
    const begunAt = Date.now()
    await queen.post(`/api/v1/messages/${partitionId}/m1/retry`, { consumerGroup: '__QUEUE_MODE__' })
    expect(ids((await waiting).messages)).toEqual(['m1'])
    expect(Date.now() - begunAt).toBeLessThan(3_000)
  })

  it('G5 in a window brings back what is stored, and refuses what would have to be stored anew', async () => {
    const partitionId = await queen.push('fenced', 'p', ['taken', 'stored'])
    for (const id of ['taken', 'stored']) await queen.post(`/api/v1/messages/${partitionId}/${id}/dlq`)
    await queen.sql.query('UPDATE queen.partitions SET start_offset = 1 WHERE id = $1', [partitionId])
    await queen.sql.query(
      `UPDATE queen.segments SET first_offset = 1, keys = substring(keys FROM 17),
              body = '\\x00'::bytea || (SELECT d.frame FROM queen.dead_letters d WHERE d.transaction_id = 'stored')
        WHERE partition_id = $1`,
      [partitionId],
    )
    await queen.post('/api/v1/system/maintenance', { enabled: true })
    try {
      expect(await queen.ask('POST', `/api/v1/messages/${partitionId}/taken/retry`)).toMatchObject({
        status: 503,
        body: { code: 'MAINTENANCE' },
      })
      expect((await queen.ask('POST', '/api/v1/dlq/retry', { queue: 'fenced' })).body.code).toBe('MAINTENANCE')
      expect((await queen.get('/api/v1/dlq?queue=fenced')).total).toBe(2)
      await queen.post(`/api/v1/messages/${partitionId}/stored/retry`)
      expect(ids((await queen.pop('fenced', 'batch=9')).messages)).toEqual(['stored'])
    } finally {
      await queen.post('/api/v1/system/maintenance', { enabled: false })
    }
    const phase = async () => (await queen.get('/api/v1/system/maintenance')).phase
    await expect.poll(phase, { timeout: 10_000 }).toBe('normal')
    expect(await queen.post('/api/v1/dlq/retry', { queue: 'fenced' })).toMatchObject({ retried: 1, remaining: 0 })
  })

  it('brings back what retention took: same message, for its group only', async () => {
    const partitionId = await queen.push('restore', 'p', ['old'])
    await queen.pop('restore', 'consumerGroup=b&autoAck=true')
    await queen.post(`/api/v1/messages/${partitionId}/old/dlq`, { consumerGroup: 'a' })
    const { messages } = await queen.get('/api/v1/dlq?queue=restore')
    await queen.push('restore', 'p', ['new'])
    await queen.sql.query('UPDATE queen.partitions SET start_offset = 1 WHERE id = $1', [partitionId])
    await queen.sql.query('DELETE FROM queen.segments WHERE partition_id = $1 AND last_offset < 1', [partitionId])
    expect((await queen.get(`/api/v1/messages/${partitionId}/old`)).payload).toEqual({ id: 'old' })
    await queen.post(`/api/v1/messages/${partitionId}/old/retry`)
    const back = await queen.pop('restore', 'batch=9&consumerGroup=a')
    expect(ids(back.messages)).toEqual(['old', 'new'])
    expect(back.messages[0]).toMatchObject({ id: messages[0].id, data: { id: 'old' } })
    expect(ids((await queen.pop('restore', 'batch=9&consumerGroup=b')).messages)).toEqual(['new'])
    expect(ids((await queen.pop('restore', 'batch=9&consumerGroup=late')).messages)).toEqual(['new'])
  })

  it('refuses what is completed, missing or malformed', async () => {
    const partitionId = await queen.push('refuse', 'p', ['m'])
    await queen.pop('refuse', 'autoAck=true')
    expect((await queen.ask('POST', `/api/v1/messages/${partitionId}/m/dlq`)).body.code).toBe('ALREADY_COMPLETED')
    expect((await queen.ask('POST', `/api/v1/messages/${partitionId}/x/dlq`)).body.code).toBe('MESSAGE_NOT_FOUND')
    expect((await queen.ask('POST', `/api/v1/messages/${NOWHERE}/x/retry`)).body.code).toBe('MESSAGE_NOT_FOUND')
    expect((await queen.ask('POST', `/api/v1/messages/${partitionId}/m/retry`, '{')).body.code).toBe('INVALID_JSON')
    expect((await queen.ask('POST', `/api/v1/messages/${partitionId}/m/retry`, '[]')).body.code).toBe('INVALID_BODY')
    expect((await queen.ask('POST', `/api/v1/messages/${partitionId}/m/dlq`, { consumerGroup: '' })).body.code).toBe(
      'INVALID_NAME',
    )
    expect((await queen.ask('POST', `/api/v1/messages/${partitionId}/m/dlq`, { error: 1 })).body.code).toBe(
      'INVALID_BODY',
    )
  })
})

describe('POST /api/v1/dlq/retry and DELETE /api/v1/dlq', () => {
  it('retry and purge in bulk, oldest first, and say what is left', async () => {
    await queen.post('/api/v1/configure', { queue: 'bulk', options: { retryLimit: 0 } })
    const names = Array.from({ length: 6 }, (_, i) => `m${i}`)
    await queen.push('bulk', 'p', names)
    await queen.post('/api/v1/ack/batch', acks(await queen.pop('bulk', 'batch=6'), 'failed'))
    expect((await queen.get('/api/v1/dlq?queue=bulk')).total).toBe(6)
    expect(await queen.post('/api/v1/dlq/retry', { queue: 'bulk', limit: 2 })).toEqual({
      success: true,
      matched: 6,
      retried: 2,
      remaining: 4,
    })
    expect(ids((await queen.pop('bulk', 'batch=9')).messages)).toEqual(['m0', 'm1'])
    const purged = await queen.ask('DELETE', '/api/v1/dlq?queue=bulk&limit=3&consumerGroup=__QUEUE_MODE__&partition=p')
    expect(purged.body).toEqual({ success: true, matched: 4, deleted: 3, remaining: 1 })
    expect(
      await queen.post('/api/v1/dlq/retry', { queue: 'bulk', from: '2020-01-01', to: '2020-01-02' }),
    ).toMatchObject({ matched: 0, retried: 0 })
    expect(await queen.post('/api/v1/dlq/retry', { queue: 'bulk', limit: 0 })).toMatchObject({
      matched: 1,
      retried: 1,
      remaining: 0,
    })
    expect((await queen.ask('DELETE', '/api/v1/dlq?all=true')).body).toMatchObject({ success: true })
    expect((await queen.get('/api/v1/dlq')).total).toBe(0)
  })

  it('want a choice', async () => {
    expect((await queen.ask('POST', '/api/v1/dlq/retry', {})).body.code).toBe('INVALID_BODY')
    expect((await queen.ask('POST', '/api/v1/dlq/retry')).body.code).toBe('BODY_REQUIRED')
    expect((await queen.ask('POST', '/api/v1/dlq/retry', { all: 'yes' })).body.code).toBe('INVALID_BODY')
    expect((await queen.ask('POST', '/api/v1/dlq/retry', { from: 'x' })).body.code).toBe('INVALID_TIMESTAMP')
    expect((await queen.ask('DELETE', '/api/v1/dlq')).body.code).toBe('INVALID_PARAMETER')
    expect((await queen.ask('DELETE', '/api/v1/dlq?all=maybe')).body.code).toBe('INVALID_PARAMETER')
  })
})
