/** Acks of what this instance never delivered: right answers for a bounded number of reads, whatever is asked. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { partitionLeaseId, sharedLeaseId } from '../../src/engine/format/lease-id.ts'
import { resolveAcks } from '../../src/engine/settle/ack-resolve.ts'
import { LeaseBook } from '../../src/engine/settle/lease-book.ts'
import type { AckItem } from '../../src/engine/types.ts'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
let unique = 0
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The real store, which counts what is asked of it. */
function counting(): { store: ConsumeStore; calls: Record<string, number> } {
  const calls: Record<string, number> = {}
  const wrapped = Object.fromEntries(
    Object.entries(fixture.store).map(([name, verb]) => [
      name,
      (...args: unknown[]) => {
        calls[name] = (calls[name] ?? 0) + 1
        return (verb as (...all: unknown[]) => Promise<unknown>)(...args)
      },
    ]),
  )
  return { store: wrapped as unknown as ConsumeStore, calls }
}

async function filled(transactionIds: readonly string[], partitions = 1): Promise<{ queue: string; ids: string[] }> {
  const queue = `lookup${unique++}`
  const queueId = await fixture.createQueue(queue)
  const ids: string[] = []
  for (let i = 0; i < partitions; i++) {
    const id = await fixture.createPartition(queueId, `p${i}`)
    await fixture.append(id, transactionIds)
    ids.push(id)
  }
  return { queue, ids }
}

function ack(partitionId: string, more: Partial<AckItem> = {}): AckItem {
  return {
    transactionId: 'm0',
    partitionId,
    status: 'completed',
    leaseId: null,
    consumerGroup: null,
    error: null,
    ...more,
  }
}

const codes = (results: readonly { code: string | null }[]): (string | null)[] => [
  ...new Set(results.map(({ code }) => code)),
]

describe('a batch of acks that are all strange', () => {
  const MANY = 2_000
  const strange: [string, string, (id: string, index: number) => Partial<AckItem>][] = [
    ['leases that were never issued', 'INVALID_LEASE', (_, index) => ({ leaseId: `l${index}` })],
    ['leases of the partition', 'INVALID_LEASE', (id) => ({ leaseId: partitionLeaseId(id) })],
    ['leases over partitions', 'INVALID_LEASE', () => ({ leaseId: sharedLeaseId() })],
    ['groups', 'NOT_LEASED', (_, index) => ({ consumerGroup: `g${index}` })],
    ['ids', 'MESSAGE_NOT_FOUND', (_, index) => ({ transactionId: `nobody${index}` })],
  ]
  it.each(strange)('costs a few reads: %s', async (_, code, more) => {
    const { ids } = await filled(names('m', 3))
    const { store, calls } = counting()
    const acks = Array.from({ length: MANY }, (_each, index) => ack(ids[0]!, more(ids[0]!, index)))
    expect(codes(await fixture.consumer({ store }).ackMessages(acks))).toEqual([code])
    expect(Object.values(calls).every((count) => count === 1)).toBe(true)
  })

  it('of many partitions takes one read each, and one of all cursors', async () => {
    const { ids } = await filled(names('m', 1), 20)
    const { store, calls } = counting()
    const acks = ids.flatMap((id) => [ack(id), ack(id, { transactionId: 'nobody' })])
    const results = await fixture.consumer({ store }).ackMessages(acks)
    expect(codes(results)).toEqual(['NOT_LEASED', 'MESSAGE_NOT_FOUND'])
    expect(results[0]).toMatchObject({ partitionName: 'p0' })
    expect(calls).toEqual({ readAckCursors: 1, readSegmentKeys: 20, readGone: 1 })
  })

  it('refuses what is no lease id, text that PostgreSQL cannot take included, and applies the rest', async () => {
    const { queue } = await filled(names('m', 2))
    const answer = await fixture.consumer().popMessages(popRequest({ queue, batch: 2 }), never)
    const [first, second] = acksOf(answer)
    const results = await fixture
      .consumer()
      .ackMessages([{ ...first!, leaseId: 'l\u0000' }, { ...first!, leaseId: '\ud800' }, second!])
    expect(results.map(({ code }) => code)).toEqual(['INVALID_LEASE', 'INVALID_LEASE', null])
  })

  it('is answered OVERLOADED when its time is over, before anything is applied', async () => {
    const { queue } = await filled(names('m', 1), 2)
    const answer = await fixture.consumer().popMessages(popRequest({ queue, batch: 2, partitions: 2 }), never)
    const { store, calls } = counting()
    const parts = {
      store,
      book: new LeaseBook(0),
      catalog: { partitionsById: async () => new Map(answer.runs.map(({ partition }) => [partition.id, partition])) },
    }
    await expect(resolveAcks(parts, acksOf(answer), [], performance.now())).rejects.toMatchObject({
      code: 'OVERLOADED',
    })
    expect(calls).toEqual({})
    expect((await resolveAcks(parts, acksOf(answer), [], performance.now() + 60_000)).entries).toHaveLength(2)
  })
})

it('each lease and group in one request finds its own message, of several with the same id too', async () => {
  const { queue, ids } = await filled(['same', 'a'])
  await fixture.append(ids[0]!, ['same', 'b'])
  const popper = fixture.consumer()
  const early = await popper.popMessages(popRequest({ queue, batch: 2, consumerGroup: 'early' }), never)
  await popper.popMessages(popRequest({ queue, batch: 2, consumerGroup: 'late', autoAck: true }), never)
  const late = await popper.popMessages(popRequest({ queue, batch: 2, consumerGroup: 'late' }), never)
  expect([delivered(early), delivered(late)]).toEqual([
    ['same', 'a'],
    ['same', 'b'],
  ])
  const { store, calls } = counting()
  const same = { transactionId: 'same' }
  const results = await fixture
    .consumer({ store })
    .ackMessages([
      ack(ids[0]!, { ...same, leaseId: early.leaseId }),
      ack(ids[0]!, { ...same, consumerGroup: 'late' }),
      ack(ids[0]!, { transactionId: 'b', leaseId: early.leaseId }),
      ack(ids[0]!, { transactionId: 'a', leaseId: early.leaseId, consumerGroup: 'late' }),
      ack(ids[0]!, { transactionId: 'a', consumerGroup: 'late' }),
      ack(ids[0]!, { transactionId: 'a', consumerGroup: 'early', status: 'retry' }),
    ])
  expect(results.map(({ code, leaseReleased }) => code ?? leaseReleased)).toEqual([
    false,
    false,
    'INVALID_LEASE',
    'INVALID_LEASE',
    false,
    true,
  ])
  // Of the keys: what the leases hold, then the rest for the ids that are not in it.
  expect(calls).toEqual({ readAckCursors: 1, readSegmentKeys: 2, ackMessages: 1 })
  const rows = await fixture.sql(
    'SELECT group_name, committed, acked::text FROM queen.cursors WHERE partition_id = $1::uuid ORDER BY group_name',
    [ids[0]],
  )
  expect(rows).toEqual([
    { group_name: 'early', committed: '1', acked: '{}' },
    { group_name: 'late', committed: '3', acked: '{}' },
  ])
})

it('acks of a transaction without a lease go to the first required lease that holds their partition', async () => {
  const { queue, ids } = await filled(names('m', 2))
  const popper = fixture.consumer()
  const one = await popper.popMessages(popRequest({ queue, batch: 2, partitions: 2, consumerGroup: 'one' }), never)
  const two = await popper.popMessages(popRequest({ queue, batch: 2, consumerGroup: 'two' }), never)
  const operation = { type: 'ack' as const, item: ack(ids[0]!) }
  const done = await fixture.consumer().executeTransaction([operation], [two.leaseId, one.leaseId])
  expect(done.rejected).toBeNull()
  const rows = await fixture.sql(
    'SELECT group_name, committed FROM queen.cursors WHERE partition_id = $1::uuid ORDER BY group_name',
    [ids[0]],
  )
  expect(rows).toEqual([
    { group_name: 'one', committed: '0' },
    { group_name: 'two', committed: '1' },
  ])
})
