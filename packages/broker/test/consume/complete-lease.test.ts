/** Everything a lease holds is completed in one go; whatever is not as believed is judged message by message. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Consumer } from '../../src/engine/consume/consumer.ts'
import { SegmentCache } from '../../src/engine/consume/segment-cache.ts'
import { NO_OFFSETS } from '../../src/engine/format/offset-set.ts'
import { Acker } from '../../src/engine/settle/ack.ts'
import { LeaseBook } from '../../src/engine/settle/lease-book.ts'
import type { AckItem, DeliveredLease, PopAnswer } from '../../src/engine/types.ts'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { segmentOf } from '../http/segments.ts'
import { silent } from '../store/test-database.ts'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
let unique = 0
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

interface Scene {
  readonly consumer: Consumer
  readonly acks: AckItem[]
  readonly lease: DeliveredLease
  readonly complete: () => ReturnType<Consumer['completeLease']>
  readonly next: () => Promise<string[]>
}

/** Six messages of which four are leased. */
async function leased(store: Partial<ConsumeStore> = {}): Promise<Scene> {
  const queue = `whole${unique++}`
  const partitionId = await fixture.createPartition(await fixture.createQueue(queue), 'Default')
  await fixture.append(partitionId, names('m', 6))
  const consumer = fixture.consumer({ store: { ...fixture.store, ...store } })
  const pop = (): Promise<PopAnswer> => consumer.popMessages(popRequest({ queue, batch: 4 }), never)
  const answer = await pop()
  const acks = acksOf(answer)
  const lease = consumer.deliveredLease(answer.leaseId, partitionId)!
  expect(lease.messages).toBe(4)
  return {
    ...{ consumer, acks, lease },
    complete: () => consumer.completeLease(lease, () => acks),
    next: async () => delivered(await pop()),
  }
}

const statusesOf = (results: Awaited<ReturnType<Consumer['completeLease']>>) => results?.map(({ code }) => code)
const releasedOf = (results: Awaited<ReturnType<Consumer['completeLease']>>) =>
  results?.map(({ leaseReleased }) => leaseReleased)
const ALL_APPLIED = [null, null, null, null]
const NONE_RELEASED = [false, false, false, false]

describe('G7 a lease that is completed as a whole', () => {
  it('is over, once, by the cheap statement', async () => {
    const { complete, consumer, lease, next } = await leased()
    expect(await complete()).toBeNull()
    expect(consumer.stats()).toMatchObject({ ackStatements: 1, finishStatements: 1, finishedLeases: 1 })
    expect(consumer.deliveredLease(lease.leaseId, lease.partition.id)).toBeNull()
    expect(await next()).toEqual(['m4', 'm5'])
    expect(statusesOf(await complete())).toEqual(Array(4).fill('INVALID_LEASE'))
  })

  it('is told as completed to two who complete it at once, and as ended to one of them', async () => {
    const { complete, consumer, next } = await leased()
    const [repeated, ended] = await Promise.all([complete(), complete()])
    expect([statusesOf(repeated), releasedOf(repeated), ended]).toEqual([ALL_APPLIED, NONE_RELEASED, null])
    expect(consumer.stats()).toMatchObject({ ackStatements: 1, finishedLeases: 1 })
    expect(await next()).toEqual(['m4', 'm5'])
  })

  it('is told to two who complete it at once what two are told who send its acks one by one', async () => {
    const [whole, judged] = [await leased(), await leased()]
    const [repeated] = await Promise.all([whole.complete(), whole.complete()])
    const [first, last] = await Promise.all([1, 2].map(() => judged.consumer.ackMessages(judged.acks)))
    expect(repeated!.map((result) => ({ ...result, queueName: judged.lease.partition.queue.name }))).toEqual(first)
    expect(releasedOf(last!)).toEqual([false, false, false, true])
  })

  it('is told as ended to one of two of whom one sends its acks one by one', async () => {
    const { acks, complete, consumer, next } = await leased()
    const [whole, results] = await Promise.all([complete(), consumer.ackMessages(acks)])
    expect([statusesOf(whole), releasedOf(whole)]).toEqual([ALL_APPLIED, NONE_RELEASED])
    expect([statusesOf(results), releasedOf(results)]).toEqual([ALL_APPLIED, [false, false, false, true]])
    expect(consumer.stats()).toMatchObject({ ackStatements: 1, finishedLeases: 1 })
    expect(await next()).toEqual(['m4', 'm5'])
  })

  it('shares its statement with one that is acked message by message', async () => {
    const { acks, complete, consumer, next } = await leased()
    const [whole, one] = await Promise.all([complete(), consumer.ackMessages(acks.slice(0, 1))])
    expect([whole, one[0]!.code]).toEqual([null, 'INVALID_LEASE'])
    expect(await next()).toEqual(['m4', 'm5'])
  })

  it('is judged message by message when another instance has answered some of it', async () => {
    const { acks, complete, next } = await leased()
    await fixture.consumer().ackMessages([acks[1]!, { ...acks[2]!, status: 'retry' }])
    expect(statusesOf(await complete())).toEqual([null, null, 'ALREADY_COMPLETED', null])
    expect(await next()).toEqual(['m2', 'm4', 'm5'])
  })

  it('is none when it has run out', async () => {
    const { complete, consumer, lease, next } = await leased()
    await fixture.sql(`UPDATE queen.cursors SET lease_until = now() - interval '1 s' WHERE partition_id = $1::uuid`, [
      lease.partition.id,
    ])
    expect(statusesOf(await complete())).toEqual(Array(4).fill('INVALID_LEASE'))
    expect(consumer.deliveredLease(lease.leaseId, lease.partition.id)).toBeNull()
    expect(await next()).toEqual(['m0', 'm1', 'm2', 'm3'])
  })

  it('is not known as one when something of it was answered or is bare of its lease', async () => {
    const { acks, consumer, lease } = await leased()
    expect(consumer.deliveredLease('nonsense', lease.partition.id)).toBeNull()
    expect(consumer.deliveredLease(lease.leaseId, lease.leaseId)).toBeNull()
    await consumer.ackMessages(acks)
    expect(consumer.deliveredLease(lease.leaseId, lease.partition.id)).toBeNull()
  })

  it.each([
    ['was written and its answer lost', true, true],
    ['was lost on its way', false, true],
    ['was refused', false, false],
  ])('is applied once when the statement %s', async (_, written, outcomeUnknown) => {
    let tries = 0
    const { complete, next } = await leased({
      async finishLeases(finishes) {
        const again = tries++ > 0
        const outcomes = written || again ? await fixture.store.finishLeases(finishes) : []
        if (!again) throw new StoreError('unavailable', 'lost', { outcomeUnknown })
        return outcomes
      },
    })
    expect(statusesOf(await complete())).toEqual(ALL_APPLIED)
    expect(await next()).toEqual(['m4', 'm5'])
  })

  it('is known to be completed when the answer was lost, the lease forgotten and the next one given', async () => {
    const { acks, complete, consumer, lease } = await leased({
      async finishLeases(finishes) {
        await fixture.store.finishLeases(finishes)
        const next = await fixture.consumer().popMessages(popRequest({ queue: lease.partition.queue.name }), never)
        expect(delivered(next)).toEqual(['m4'])
        // What was refused under it is no lease any more.
        const [refused] = await consumer.ackMessages(acks.slice(0, 1))
        expect(refused!.code).toBe('INVALID_LEASE')
        expect(consumer.stats().leases).toBe(0)
        throw new StoreError('unavailable', 'lost', { outcomeUnknown: true })
      },
    })
    expect(statusesOf(await complete())).toEqual(ALL_APPLIED)
  })

  it('is written once although what was beside it has to be repeated', async () => {
    const leaseIds: unknown[] = []
    const { complete, consumer, lease, next } = await leased({
      async ackMessages(entries) {
        leaseIds.push(entries.map(({ leaseId }) => leaseId))
        if (leaseIds.length === 1) throw new StoreError('unavailable', 'lost')
        return fixture.store.ackMessages(entries)
      },
    })
    const { queue } = lease.partition
    const other = await fixture.createPartition(queue.id, 'Other')
    await fixture.append(other, names('o', 2))
    const beside = await consumer.popMessages(popRequest({ queue: queue.name, partition: 'Other', batch: 2 }), never)
    const [whole, [one]] = await Promise.all([complete(), consumer.ackMessages(acksOf(beside).slice(0, 1))])
    expect([whole, one!.code]).toEqual([null, null])
    expect(consumer.stats().finishStatements).toBe(1)
    expect(leaseIds).toEqual([[beside.leaseId], [beside.leaseId]])
    expect(await next()).toEqual(['m4', 'm5'])
  })

  it('whose statement is refused fails nobody who was beside it', async () => {
    let tries = 0
    const other = await leased()
    const { complete, consumer } = await leased({
      async finishLeases(finishes) {
        if (tries++ === 0) throw new StoreError('rejected', 'not like this')
        return fixture.store.finishLeases(finishes)
      },
    })
    const [whole, [alone]] = await Promise.all([complete(), consumer.ackMessages(other.acks.slice(0, 1))])
    expect([statusesOf(whole), alone!.code]).toEqual([ALL_APPLIED, null])
  })

  it('that comes while acks are repeated does not travel with them, and is completed behind them', async () => {
    const { partition } = (await leased()).lease
    const segment = segmentOf(names('m', 4).map((transactionId) => ({ transactionId, payload: '{}' })))
    const book = new LeaseBook(1_000_000)
    const other = { ...partition, id: randomUUID() }
    book.add('whole', 'g', [{ partition, segment, indices: [0, 1, 2, 3], retryCounts: null }], {
      position: 100,
      leasedTo: 104,
    })
    book.add('beside', 'g', [{ partition: other, segment, indices: [0], retryCounts: null }])
    const sent: string[] = []
    const acker = new Acker({
      store: {
        async ackMessages() {
          sent.push('acks')
          if (sent.length === 1) throw new StoreError('unavailable', 'lost', { outcomeUnknown: true })
          return [{ state: 'clean', ended: false, committed: 1, dead: NO_OFFSETS, before: null }]
        },
        async finishLeases() {
          sent.push('lease')
          return [{ next: null }]
        },
      } as Partial<ConsumeStore> as ConsumeStore,
      ...{ book, log: silent, cache: new SegmentCache(0), catalog: { partitionsById: async () => new Map() } },
      ahead: { propose: () => null, taken() {}, lost() {} },
      onLeaseEnded() {},
    })
    vi.useFakeTimers()
    try {
      const place = { partitionId: other.id, leaseId: 'beside', consumerGroup: 'g' }
      const acked = acker.ackMessages([{ ...place, transactionId: 'm0', status: 'completed', error: null }])
      // The first try fails; its repeat is due with the next timer.
      while (sent.length === 0 || vi.getTimerCount() === 0) await vi.advanceTimersByTimeAsync(0)
      vi.advanceTimersToNextTimer()
      let told: unknown = 'nothing'
      void acker.completeLease(book.whole('whole', partition.id)!, () => []).then((result) => (told = result))
      await vi.runAllTimersAsync()
      expect((await acked).map(({ code }) => code)).toEqual([null])
      expect([sent, told]).toEqual([['acks', 'acks', 'lease'], null])
    } finally {
      vi.useRealTimers()
    }
  })
})
