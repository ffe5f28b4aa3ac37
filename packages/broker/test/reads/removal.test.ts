/** Retention and eviction on a real database, driven without waiting for their intervals. */
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createRemoval } from '../../src/engine/queues/removal.ts'
import { Activity } from '../../src/engine/reads/activity.ts'
import { openDatabase, type QueenDatabase } from '../../src/store/pool/pool.ts'
import { createReadStores } from '../../src/store/reads/read-stores.ts'
import { createRemovalStore } from '../../src/store/removal.ts'
import { silent, testLimits } from '../store/test-database.ts'
import { acks, ids, type RunningBroker, runBroker } from './running-broker.ts'

let queen: RunningBroker
let database: QueenDatabase
let removal: ReturnType<typeof createRemoval>

beforeAll(async () => {
  queen = await runBroker({ RETENTION_INTERVAL: '86400000', EVICTION_INTERVAL: '86400000' })
  database = openDatabase({ url: queen.databaseUrl, ...testLimits, log: silent })
  removal = createRemoval({
    store: createRemovalStore(database, 'an-instance'),
    messages: createReadStores(database).messages,
    activity: new Activity(),
    log: pino({ level: 'silent' }),
    wake: () => {},
  })
})
afterAll(async () => {
  await database.close()
  await queen[Symbol.asyncDispose]()
})

const configure = (queue: string, options: object) => queen.post('/api/v1/configure', { queue, options })
/** Makes what a queue holds now look older. */
const age = (queue: string, seconds: number) =>
  queen.sql.query(
    `UPDATE queen.segments s SET created_at = s.created_at - $2 * interval '1 second'
      FROM queen.partitions p JOIN queen.queues q ON q.id = p.queue_id WHERE p.id = s.partition_id AND q.name = $1`,
    [queue, seconds],
  )
const segments = async (queue: string): Promise<number> => {
  const { rows } = await queen.sql.query(
    `SELECT count(*)::int AS n FROM queen.segments s JOIN queen.partitions p ON p.id = s.partition_id
       JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = $1`,
    [queue],
  )
  return rows[0].n
}
const listed = async (queue: string) =>
  ids((await queen.get(`/api/v1/messages?queue=${queue}&from=2020-01-01`)).messages)

describe('retention', () => {
  it('removes whole segments by age, consumed or not, but keeps dedup evidence until its window is over', async () => {
    await configure('aged', { retentionEnabled: true, retentionSeconds: 60, dedupWindowSeconds: 600 })
    await queen.push('aged', 'p', ['old1', 'old2'])
    await age('aged', 120)
    await queen.push('aged', 'p', ['new'])
    expect(await removal.expire(30)).toBe(true)
    expect(await listed('aged')).toEqual(['new'])
    expect(await segments('aged')).toBe(2)
    const again = await queen.post('/api/v1/push', {
      items: [{ queue: 'aged', partition: 'p', transactionId: 'old1' }],
    })
    expect(again[0].status).toBe('duplicate')
    expect(ids((await queen.pop('aged', 'batch=9')).messages)).toEqual(['new'])
    // And the seconds since each instance was last heard of: what it accepted meanwhile is judged by then.
    await age('aged', 610)
    await removal.expire(30)
    expect(await segments('aged')).toBe(0)
  })

  it('keeps evidence for what is still buffered somewhere', async () => {
    await configure('buffered', { retentionEnabled: true, retentionSeconds: 60, dedupWindowSeconds: 100 })
    await queen.push('buffered', 'p', ['m'])
    await age('buffered', 200)
    await queen.sql.query(
      `INSERT INTO queen.instances (id, hostname, pid, started_at, last_seen_at, report)
       VALUES ('silent', 'h', 1, now(), now(), jsonb_build_object('bufferedMessages', 1, 'oldestBufferedAt', now() - interval '1 hour'))`,
    )
    await removal.expire(30)
    expect([await listed('buffered'), await segments('buffered')]).toEqual([[], 1])
    await queen.sql.query("DELETE FROM queen.instances WHERE id = 'silent'")
    await removal.expire(30)
    expect(await segments('buffered')).toBe(0)
  })

  it('G3 keeps evidence for what an instance may have buffered since it was heard of, and for what is staged', async () => {
    const evidence = async (queue: string): Promise<number> => {
      await configure(queue, { retentionEnabled: true, retentionSeconds: 60, dedupWindowSeconds: 100 })
      await queen.push(queue, 'p', ['m'])
      await age(queue, 200)
      await removal.expire(30)
      return segments(queue)
    }
    await queen.sql.query(
      `INSERT INTO queen.instances (id, hostname, pid, started_at, last_seen_at, report)
       VALUES ('cut off', 'h', 1, now() - interval '1 day', now() - interval '5 minutes', '{"bufferedMessages": 0}')`,
    )
    expect(await evidence('cut-off')).toBe(1)
    // Its quarantined records keep it listed; it is not coming back with a message of today.
    await queen.sql.query("UPDATE queen.instances SET last_seen_at = now() - interval '1 day' WHERE id = 'cut off'")
    expect(await evidence('long-gone')).toBe(0)
    await queen.sql.query("DELETE FROM queen.instances WHERE id = 'cut off'")
    await queen.sql.query(
      `INSERT INTO queen.staged_records (buffer_id, first_number, last_number, taken_through, oldest, latest, body)
       VALUES ('b', 1, 1, 0, extract(epoch FROM now() - interval '5 minutes') * 1000000,
               extract(epoch FROM now()) * 1000000, '')`,
    )
    expect(await evidence('staged')).toBe(1)
    await queen.sql.query('DELETE FROM queen.staged_records')
    await removal.expire(30)
    expect([await segments('cut-off'), await segments('staged')]).toEqual([0, 0])
  })

  it('G3 keeps without a dedup window what a flush may have stored whose messages are still buffered', async () => {
    await configure('lost-flush', { retentionEnabled: true, retentionSeconds: 60, dedupWindowSeconds: 0 })
    await queen.push('lost-flush', 'p', ['m'])
    await age('lost-flush', 3_630)
    await queen.sql.query(
      `INSERT INTO queen.instances (id, hostname, pid, started_at, last_seen_at, report)
       VALUES ('lost', 'h', 1, now(), now(), jsonb_build_object('bufferedMessages', 1, 'oldestBufferedAt', now() - interval '1 hour'))`,
    )
    await removal.expire(30)
    expect([await listed('lost-flush'), await segments('lost-flush')]).toEqual([[], 1])
    await queen.sql.query("DELETE FROM queen.instances WHERE id = 'lost'")
    await removal.expire(30)
    expect(await segments('lost-flush')).toBe(0)
  })

  it('removes completed messages once every group has them, and nothing before the gate is open', async () => {
    await configure('done', { completedRetentionSeconds: 60, dedupWindowSeconds: 0 })
    await queen.push('done', 'p', ['m1'])
    await queen.push('done', 'p', ['m2'])
    await queen.pop('done', 'consumerGroup=a&autoAck=true&batch=2')
    await queen.pop('done', 'consumerGroup=b&autoAck=true&batch=1')
    await age('done', 120)
    await removal.expire(30)
    expect(await segments('done')).toBe(2)
    await configure('done', { retentionEnabled: true })
    await removal.expire(30)
    expect([await listed('done'), await segments('done')]).toEqual([['m2'], 1])
    expect(ids((await queen.pop('done', 'consumerGroup=late&batch=9')).messages)).toEqual(['m2'])
  })

  it('keeps what a group of the queue has not begun to read, from where it starts (G2)', async () => {
    await configure('begun', { retentionEnabled: true, completedRetentionSeconds: 60, dedupWindowSeconds: 0 })
    await queen.push('begun', 'p', ['m1'])
    await age('begun', 300)
    await queen.push('begun', 'p', ['m2'])
    await queen.push('begun', 'other', ['o1'])
    const from = new Date(Date.now() - 200_000).toISOString()
    await queen.pop('begun/partition/other', 'consumerGroup=all&autoAck=true')
    await queen.pop(
      'begun/partition/other',
      `consumerGroup=later&autoAck=true&subscriptionMode=timestamp&subscriptionFrom=${from}`,
    )
    await queen.pop('begun', 'consumerGroup=fast&autoAck=true&batch=9&partitions=9')
    await age('begun', 120)
    await removal.expire(30)
    expect((await listed('begun')).sort()).toEqual(['m1', 'm2'])
    const query = 'autoAck=true&batch=9&partitions=9&consumerGroup='
    expect(ids((await queen.pop('begun', `${query}all`)).messages)).toEqual(['m1', 'm2'])
    await removal.expire(30)
    expect(await listed('begun')).toEqual(['m2'])
    expect(ids((await queen.pop('begun', `${query}later`)).messages)).toEqual(['m2'])
    await removal.expire(30)
    expect(await listed('begun')).toEqual([])
  })

  it('keeps what queue mode has not begun to read, once it reads the queue (G2)', async () => {
    await configure('modes', { retentionEnabled: true, completedRetentionSeconds: 60, dedupWindowSeconds: 0 })
    await queen.push('modes', 'p', ['m1'])
    await queen.push('modes', 'other', ['o1'])
    await queen.pop('modes', 'consumerGroup=fast&autoAck=true&batch=9&partitions=9')
    await queen.pop('modes/partition/other', 'autoAck=true')
    await age('modes', 120)
    await removal.expire(30)
    expect(await listed('modes')).toEqual(['m1'])
    expect(ids((await queen.pop('modes', 'autoAck=true')).messages)).toEqual(['m1'])
    await removal.expire(30)
    expect(await listed('modes')).toEqual([])
  })

  it('waits for no queue mode that never read the queue', async () => {
    await configure('bus', { retentionEnabled: true, completedRetentionSeconds: 60, dedupWindowSeconds: 0 })
    const untouched = await queen.push('bus', 'dead', ['d1'])
    // Nobody reads the partition: its dead letters are those of queue mode.
    await queen.post(`/api/v1/messages/${untouched}/d1/dlq`)
    await queen.push('bus', 'p', ['m1'])
    await queen.pop('bus/partition/p', 'consumerGroup=fast&autoAck=true')
    await age('bus', 120)
    await removal.expire(30)
    expect(await listed('bus')).toEqual(['d1'])
  })

  it('leaves dead letters their copy, which can come back and is not taken again before it is read', async () => {
    await configure('copy', { retentionEnabled: true, retentionSeconds: 60, dedupWindowSeconds: 0, retryLimit: 0 })
    const partitionId = await queen.push('copy', 'p', ['m1'])
    await queen.post('/api/v1/ack/batch', acks(await queen.pop('copy'), 'failed'))
    await queen.push('copy', 'p', ['m2'])
    await age('copy', 120)
    await removal.expire(30)
    expect(await segments('copy')).toBe(0)
    await queen.sql.query(
      "UPDATE queen.dead_letters SET created_at = created_at - interval '120 s' WHERE partition_id = $1",
      [partitionId],
    )
    await queen.post(`/api/v1/messages/${partitionId}/m1/retry`)
    await removal.expire(30)
    const back = await queen.pop('copy', 'batch=9')
    expect(ids(back.messages)).toEqual(['m1'])
    await queen.post('/api/v1/ack/batch', acks(back))
    await removal.expire(30)
    expect(await segments('copy')).toBe(0)
  })
})

describe('eviction', () => {
  it('removes what waited too long, never what a live lease holds', async () => {
    await configure('wait', { maxWaitTimeSeconds: 60 })
    await queen.push('wait', 'p', ['held', 'old'])
    const held = await queen.pop('wait', 'batch=1')
    await age('wait', 120)
    await queen.push('wait', 'p', ['new'])
    expect(await removal.evict()).toBe(true)
    const results = await queen.post('/api/v1/ack/batch', acks(held))
    expect(results[0]).toMatchObject({ success: true, leaseReleased: true })
    expect(ids((await queen.pop('wait', 'batch=9')).messages)).toEqual(['new'])
    expect((await queen.get('/api/v1/dlq?queue=wait')).total).toBe(0)
  })

  it('moves them to the dead letters of each group that had not completed them, when the queue says so', async () => {
    await configure('letters', { maxWaitTimeSeconds: 60, deadLetterQueue: true })
    await queen.push('letters', 'p', ['m1', 'm2'])
    await queen.push('letters', 'unread', ['u1'])
    await queen.pop('letters/partition/p', 'consumerGroup=a&autoAck=true&batch=1')
    await queen.pop('letters/partition/p', 'consumerGroup=b&autoAck=true&batch=2')
    await age('letters', 120)
    await removal.evict()
    const { messages } = await queen.get('/api/v1/dlq?queue=letters')
    const seen = messages.map((each: { consumerGroup: string; transactionId: string }) => [
      each.consumerGroup,
      each.transactionId,
    ])
    expect(seen.sort()).toEqual([
      ['a', 'm2'],
      ['a', 'u1'],
      ['b', 'u1'],
    ])
    expect(messages[0]).toMatchObject({ errorMessage: 'maxWaitTimeSeconds exceeded', retryCount: 0 })
    expect(await queen.ask('GET', '/api/v1/pop/queue/letters?consumerGroup=late')).toMatchObject({ status: 204 })
  })

  it('moves them to the dead letters of queue mode too, where it reads the queue and not yet the partition', async () => {
    await configure('modes-letters', { maxWaitTimeSeconds: 60, deadLetterQueue: true })
    await queen.push('modes-letters', 'p', ['m1'])
    await queen.push('modes-letters', 'unread', ['u1'])
    await queen.pop('modes-letters/partition/p', 'autoAck=true')
    await queen.pop('modes-letters/partition/p', 'consumerGroup=a&autoAck=true')
    await age('modes-letters', 120)
    await removal.evict()
    const { messages } = await queen.get('/api/v1/dlq?queue=modes-letters')
    const groups = messages.map((each: { consumerGroup: string }) => each.consumerGroup)
    expect(groups.sort()).toEqual(['__QUEUE_MODE__', 'a'])
    expect(ids(messages)).toEqual(['u1', 'u1'])
  })
})

describe('a turn', () => {
  const turnOf = (instance: string) => createRemovalStore(database, instance)
  const nothing = async () => {}
  const secondsAgo = (seconds: number) =>
    queen.sql.query(
      "UPDATE queen.system_state SET updated_at = clock_timestamp() - $1 * interval '1 second' WHERE key = 'turn test'",
      [seconds],
    )
  const isFresh = async () => {
    const fresh =
      "SELECT FROM queen.system_state WHERE key = 'turn test' AND updated_at > clock_timestamp() - interval '15 s'"
    return (await queen.sql.query(fresh)).rowCount === 1
  }

  afterEach(async () => {
    vi.useRealTimers()
    await queen.sql.query("DELETE FROM queen.system_state WHERE key = 'turn test'")
  })

  it.each(['another instance', 'itself'])('is not given to %s meanwhile', async (other) => {
    const store = turnOf('an-instance')
    const turns: boolean[] = []
    const second = other === 'itself' ? store : turnOf(other)
    await store.inTurn('test', async () => {
      turns.push(await second.inTurn('test', nothing))
    })
    turns.push(await second.inTurn('test', nothing))
    expect(turns).toEqual([false, true])
  })

  it('that was never ended holds up its own instance for no moment, and others for half a minute', async () => {
    const dying: typeof database.admin = {
      run: (name, text, values) =>
        name === 'end_turn' ? Promise.reject(new Error('connection lost')) : database.admin.run(name, text, values),
    }
    const store = createRemovalStore({ admin: dying }, 'an-instance')
    for (const _ of ['first', 'again']) await expect(store.inTurn('test', nothing)).rejects.toThrow('connection lost')
    expect(await turnOf('another').inTurn('test', nothing)).toBe(false)
    // Restarted.
    expect(await turnOf('an-instance').inTurn('test', nothing)).toBe(true)
    await expect(store.inTurn('test', nothing)).rejects.toThrow('connection lost')
    await secondsAgo(31)
    expect(await turnOf('another').inTurn('test', nothing)).toBe(true)
  })

  it('that was taken by a clock that is set back since ends all the same', async () => {
    await turnOf('an-instance').inTurn('test', async () => {
      await secondsAgo(-3_600)
      expect(await turnOf('another').inTurn('test', nothing)).toBe(true)
    })
  })

  it('lasts as long as it is needed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const lasted = turnOf('an-instance').inTurn('test', async () => {
      await secondsAgo(29)
      await vi.advanceTimersByTimeAsync(10_000)
      await vi.waitUntil(isFresh, { timeout: 20_000 })
      expect(await turnOf('another').inTurn('test', nothing)).toBe(false)
    })
    expect([await lasted, vi.getTimerCount()]).toEqual([true, 0])
  })

  it('that another has taken over is not ended by whoever had it before', async () => {
    const over = Promise.withResolvers<void>()
    let second = Promise.resolve(false)
    await turnOf('an-instance').inTurn('test', async () => {
      await secondsAgo(31)
      const begun = Promise.withResolvers<void>()
      second = turnOf('another').inTurn('test', () => {
        begun.resolve()
        return over.promise
      })
      await Promise.race([begun.promise, second])
    })
    expect(await turnOf('a-third').inTurn('test', nothing)).toBe(false)
    over.resolve()
    expect(await second).toBe(true)
    expect(await turnOf('a-third').inTurn('test', nothing)).toBe(true)
  })
})
