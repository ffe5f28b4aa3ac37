/**
 * The contract's ack table, every row, twice: resolved from this instance's lease book and resolved from the database
 * by an instance that never saw the lease.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Consumer } from '../../src/engine/consume/consumer.ts'
import type { AckItem, PopAnswer } from '../../src/engine/types.ts'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
let unique = 0
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

describe.each(['the lease book', 'the database'])('acks resolved from %s', (source) => {
  let popper: Consumer
  let acker: Consumer
  beforeAll(() => {
    popper = fixture.consumer()
    acker = source === 'the database' ? fixture.consumer() : popper
  })

  async function leased(
    count: number,
    batch: number,
    options = {},
  ): Promise<{ queue: string; partitionId: string; answer: PopAnswer; acks: AckItem[] }> {
    const queue = `table${unique++}`
    const partitionId = await fixture.createPartition(await fixture.createQueue(queue, options), 'Default')
    await fixture.append(partitionId, names('m', count))
    const answer = await popper.popMessages(popRequest({ queue, batch }), never)
    expect(answer.runs).not.toHaveLength(0)
    return { queue, partitionId, answer, acks: acksOf(answer) }
  }
  const one = async (item: AckItem) => (await acker.ackMessages([item]))[0]!

  it('says MESSAGE_NOT_FOUND for unknown messages, partitions and what is no UUID', async () => {
    const { acks } = await leased(2, 2)
    expect(await one({ ...acks[0]!, transactionId: 'nobody' })).toMatchObject({
      success: false,
      code: 'MESSAGE_NOT_FOUND',
    })
    expect(await one({ ...acks[0]!, partitionId: 'nonsense' })).toMatchObject({
      success: false,
      code: 'MESSAGE_NOT_FOUND',
    })
    expect(await one({ ...acks[0]!, partitionId: '00000000-0000-4000-8000-000000000000' })).toMatchObject({
      success: false,
      code: 'MESSAGE_NOT_FOUND',
    })
  })

  it('says MESSAGE_NOT_FOUND when the queue was deleted since', async () => {
    const { queue, acks } = await leased(2, 2)
    await fixture.sql('SELECT queen.delete_queue($1::text)', [queue])
    const gone = { success: false, code: 'MESSAGE_NOT_FOUND' }
    expect(await one(acks[0]!)).toMatchObject(gone)
    expect(await one({ ...acks[0]!, leaseId: null })).toMatchObject(gone)
    expect(await one({ ...acks[1]!, status: 'failed' })).toMatchObject(gone)
    const { rejected } = await acker.executeTransaction([{ type: 'ack', item: acks[0]! }], [])
    expect(rejected).toMatchObject({ index: 0, code: 'MESSAGE_NOT_FOUND' })
  })

  it('says MESSAGE_NOT_FOUND for what was deleted or cleared since it was delivered', async () => {
    const { acks, partitionId, queue } = await leased(4, 3)
    const notFound = { success: false, code: 'MESSAGE_NOT_FOUND' }
    await fixture.sql(`SELECT queen.delete_message($1::uuid, 'm1', 1, NULL, NULL, NULL)`, [partitionId])
    for (const more of [
      {},
      { leaseId: null },
      { status: 'failed' as const },
      { leaseId: 'nonsense' },
      { status: 'dlq' as const },
    ])
      expect(await one({ ...acks[1]!, ...more })).toMatchObject(notFound)
    expect(await one({ ...acks[1]!, leaseId: null, consumerGroup: 'never-read' })).toMatchObject(notFound)
    expect((await acker.ackMessages(acks.slice(0, 2))).map(({ code }) => code)).toEqual([null, 'MESSAGE_NOT_FOUND'])
    await fixture.sql('SELECT * FROM queen.clear_queue($1::text, NULL)', [queue])
    for (const more of [{}, { leaseId: null }, { status: 'failed' as const }])
      expect(await one({ ...acks[2]!, ...more })).toMatchObject(notFound)
  })

  it('accepts the repeat of an answer whose message retention has removed meanwhile', async () => {
    const { acks, partitionId } = await leased(2, 2)
    expect(await one(acks[0]!)).toMatchObject({ success: true })
    await fixture.sql('SELECT queen.raise_start($1::uuid, 1)', [partitionId])
    expect(await one(acks[0]!)).toMatchObject({ success: true })
  })

  it('says INVALID_LEASE for unknown, foreign and ended leases and messages outside (G6)', async () => {
    const { acks, queue } = await leased(3, 2)
    const other = await leased(1, 1)
    expect(await one({ ...acks[0]!, leaseId: 'nonsense' })).toMatchObject({ code: 'INVALID_LEASE', success: false })
    expect(await one({ ...acks[0]!, leaseId: other.answer.leaseId })).toMatchObject({
      code: 'INVALID_LEASE',
      success: false,
    })
    expect(await one({ ...acks[0]!, transactionId: 'm2' })).toMatchObject({ code: 'INVALID_LEASE', success: false })
    expect(await one({ ...acks[0]!, consumerGroup: 'another' })).toMatchObject({
      code: 'INVALID_LEASE',
      success: false,
    })
    expect((await acker.ackMessages(acks)).map(({ leaseReleased }) => leaseReleased)).toEqual([false, true])
    expect(await one(acks[0]!)).toMatchObject({ code: 'INVALID_LEASE', success: false })
    expect(delivered(await acker.popMessages(popRequest({ queue }), never))).toEqual(['m2'])
  })

  it('says NOT_LEASED without a lease where the group holds none', async () => {
    const { acks } = await leased(3, 2)
    const bare = { ...acks[0]!, leaseId: null }
    expect(await one({ ...bare, consumerGroup: 'never-read' })).toMatchObject({ code: 'NOT_LEASED', success: false })
    expect(await one({ ...bare, transactionId: 'm2' })).toMatchObject({ code: 'NOT_LEASED', success: false })
    expect(await one(bare)).toMatchObject({ success: true, queueName: expect.any(String), partitionName: 'Default' })
  })

  it('accepts completed without a lease after autoAck, and nothing else', async () => {
    const queue = `table${unique++}`
    const partitionId = await fixture.createPartition(await fixture.createQueue(queue), 'Default')
    await fixture.append(partitionId, ['a'])
    const answer = await popper.popMessages(popRequest({ queue, autoAck: true }), never)
    const item = { ...acksOf(answer)[0]!, leaseId: null }
    expect(await one(item)).toMatchObject({ success: true, leaseReleased: false })
    for (const status of ['failed', 'retry', 'dlq'] as const) {
      expect(await one({ ...item, status })).toMatchObject({ success: false, code: 'ALREADY_COMPLETED' })
    }
  })

  it('accepts a repeat while the lease lives and refuses a contradiction', async () => {
    const { acks } = await leased(5, 5)
    const answers = ['completed', 'failed', 'retry', 'dlq'] as const
    for (const [index, status] of answers.entries()) {
      expect(await one({ ...acks[index]!, status })).toMatchObject({ success: true, dlq: status === 'dlq' })
      expect(await one({ ...acks[index]!, status })).toMatchObject({ success: true, dlq: status === 'dlq' })
      for (const contradiction of answers) {
        if (contradiction === status) continue
        expect(await one({ ...acks[index]!, status: contradiction })).toMatchObject({
          success: false,
          code: 'ALREADY_COMPLETED',
        })
      }
    }
  })

  it('tells a failure that was dead-lettered from an answer of dlq', async () => {
    const { acks } = await leased(2, 2, { retryLimit: 0 })
    const failed = { ...acks[0]!, status: 'failed' as const }
    for (const time of ['once', 'again']) expect([time, await one(failed)]).toMatchObject([time, { dlq: true }])
    expect(await one({ ...failed, status: 'dlq' })).toMatchObject({ success: false, code: 'ALREADY_COMPLETED' })
  })

  it('judges the items of a batch independently, in their order', async () => {
    const { acks } = await leased(4, 4)
    const results = await acker.ackMessages([
      acks[2]!,
      { ...acks[0]!, transactionId: 'nobody' },
      acks[0]!,
      { ...acks[0]!, status: 'failed' },
      acks[0]!,
      { ...acks[1]!, leaseId: 'nonsense' },
      acks[3]!,
    ])
    expect(results.map(({ code }) => code)).toEqual([
      null,
      'MESSAGE_NOT_FOUND',
      null,
      'ALREADY_COMPLETED',
      null,
      'INVALID_LEASE',
      null,
    ])
    expect(results.some(({ leaseReleased }) => leaseReleased)).toBe(false)
  })

  it('gives each of several messages of one transactionId in a lease its own ack (G7)', async () => {
    const queue = `table${unique++}`
    const partitionId = await fixture.createPartition(await fixture.createQueue(queue), 'Default')
    await fixture.append(partitionId, ['x', 'y', 'x', 'x'])
    const answer = await popper.popMessages(popRequest({ queue, batch: 4 }), never)
    const [first, y, second, third] = acksOf(answer)
    const results = await acker.ackMessages([first!, y!, { ...second!, status: 'failed' }, third!, third!])
    expect(results.map(({ code }) => code)).toEqual([null, null, null, null, null])
    expect(results.filter(({ leaseReleased }) => leaseReleased)).toHaveLength(1)
    const again = await acker.popMessages(popRequest({ queue, batch: 4 }), never)
    expect(again.runs.map(({ indices }) => indices)).toEqual([[2]])
  })

  it('counts failures per message and dead-letters after retryLimit (G7)', async () => {
    const { queue, partitionId, acks } = await leased(2, 2, { retryLimit: 2 })
    await one(acks[0]!)
    let failing = acks[1]!
    for (let count = 1; count <= 3; count++) {
      const result = await one({ ...failing, status: 'failed', error: `no ${count}` })
      expect(result).toMatchObject({ success: true, dlq: count === 3, leaseReleased: true })
      if (count === 3) break
      const again = await popper.popMessages(popRequest({ queue, batch: 5, partition: 'Default' }), never)
      expect(delivered(again)).toEqual(['m1'])
      expect(again.runs[0]!.retryCounts).toEqual(new Map([[1, count]]))
      failing = acksOf(again)[0]!
    }
    const rows = await fixture.sql<{ transaction_id: string; retry_count: number; error_message: string }>(
      'SELECT transaction_id, retry_count, error_message FROM queen.dead_letters WHERE partition_id = $1::uuid',
      [partitionId],
    )
    expect(rows).toEqual([{ transaction_id: 'm1', retry_count: 2, error_message: 'no 3' }])
    const [cursor] = await fixture.sql<{ failures: object }>(
      'SELECT failures FROM queen.cursors WHERE partition_id = $1::uuid',
      [partitionId],
    )
    expect(cursor!.failures).toEqual({})
  })

  it('sends the first failure to the dead letters when retryLimit is 0', async () => {
    const { acks, queue } = await leased(1, 1, { retryLimit: 0 })
    expect(await one({ ...acks[0]!, status: 'failed' })).toMatchObject({
      success: true,
      dlq: true,
      leaseReleased: true,
    })
    // The popper hears nothing from the other instance, and after a slow look it rests before the next.
    await vi.waitFor(async () =>
      expect((await popper.popMessages(popRequest({ queue }), never)).emptyReason).toBe('no_message'),
    )
  })

  it('extends a lease, never shortens it, and revives none', async () => {
    const { answer, acks } = await leased(1, 1, { leaseTime: 100 })
    const longer = await acker.extendLease(answer.leaseId, 1000)
    expect(longer.partitions).toBe(1)
    expect(longer.expiresAtMs - answer.leaseExpiresAtMs!).toBeGreaterThan(890_000)
    expect((await acker.extendLease(answer.leaseId, 1)).expiresAtMs).toBe(longer.expiresAtMs)
    await one(acks[0]!)
    await expect(acker.extendLease(answer.leaseId, 60)).rejects.toMatchObject({ code: 'LEASE_NOT_FOUND' })
    await expect(acker.extendLease('nonsense', 60)).rejects.toMatchObject({ code: 'LEASE_NOT_FOUND' })
  })

  it('takes the group from the required lease that holds the message, else queue mode', async () => {
    const queue = `table${unique++}`
    const partitionId = await fixture.createPartition(await fixture.createQueue(queue), 'Default')
    await fixture.append(partitionId, names('m', 3))
    const pop = (more: object) => popper.popMessages(popRequest({ queue, ...more }), never)
    await pop({ consumerGroup: 'g', autoAck: true })
    const ofGroup = await pop({ consumerGroup: 'g' })
    const ofQueue = await pop({ batch: 2 })
    const [m0, m1] = acksOf(ofQueue).map((item) => ({ type: 'ack' as const, item: { ...item, leaseId: null } }))
    expect(delivered(ofGroup)).toEqual(['m1'])

    // The group has finished m0, so that under its lease nothing would be done and nothing refused.
    const first = await acker.executeTransaction([m0!], [ofGroup.leaseId, ofQueue.leaseId])
    expect(first.rejected).toBeNull()
    expect(await one({ ...m0!.item, status: 'failed' })).toMatchObject({ code: 'ALREADY_COMPLETED' })
    // Both hold m1: the one that is named first.
    await acker.executeTransaction([m1!], [ofGroup.leaseId, ofQueue.leaseId])
    await expect(acker.extendLease(ofGroup.leaseId, 60)).rejects.toMatchObject({ code: 'LEASE_NOT_FOUND' })
    expect(await acker.extendLease(ofQueue.leaseId, 60)).toMatchObject({ partitions: 1 })

    const elsewhere = await leased(1, 1)
    await acker.executeTransaction([m1!], [elsewhere.answer.leaseId])
    await expect(acker.extendLease(ofQueue.leaseId, 60)).rejects.toMatchObject({ code: 'LEASE_NOT_FOUND' })
  })

  it('applies a transaction of acks as a whole or not at all', async () => {
    const { acks, answer, queue } = await leased(3, 2)
    const bare = acks.map((ack) => ({ type: 'ack' as const, item: { ...ack, leaseId: null } }))
    const bad = { type: 'ack' as const, item: { ...acks[0]!, transactionId: 'nobody' } }
    expect((await acker.executeTransaction([bare[0]!, bad], [])).rejected).toMatchObject({
      index: 1,
      code: 'MESSAGE_NOT_FOUND',
    })
    expect((await acker.executeTransaction([bare[0]!], [answer.leaseId, 'nonsense'])).rejected).toMatchObject({
      code: 'INVALID_LEASE',
    })
    const done = await acker.executeTransaction(bare, [answer.leaseId])
    expect(done.rejected).toBeNull()
    expect(done.results.map((each) => each.type === 'ack' && each.result.leaseReleased)).toEqual([false, true])
    expect(delivered(await acker.popMessages(popRequest({ queue }), never))).toEqual(['m2'])
  })
})
