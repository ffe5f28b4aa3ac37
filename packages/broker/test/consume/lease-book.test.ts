/** The lease book by itself: its bound, and what an ack finds in it. */
import { describe, expect, it } from 'vitest'
import { resolveAcks } from '../../src/engine/settle/ack-resolve.ts'
import { LeaseBook } from '../../src/engine/settle/lease-book.ts'
import type { AckItem, PoppedRun } from '../../src/engine/types.ts'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { segmentOf } from '../http/segments.ts'
import { place } from '../push/push-stack.ts'

const partitionOf = (number: number) =>
  place(`a0000000-0000-4000-8000-${String(number).padStart(12, '0')}`, `p${number}`)

function runOf(number: number, payloadBytes = 10): PoppedRun {
  const segment = segmentOf([{ transactionId: `t${number}`, payload: JSON.stringify('x'.repeat(payloadBytes)) }])
  return { partition: partitionOf(number), segment, indices: [0], retryCounts: null }
}

describe('G9 the lease book', () => {
  it('stays below its bytes: the oldest leases are forgotten, the newest never', () => {
    const book = new LeaseBook(100_000)
    for (let number = 0; number < 50; number++) {
      book.add(`lease${number}`, 'g', [runOf(number, 10_000)])
      expect(book.bytes).toBeLessThanOrEqual(100_000)
      expect(book.part(`lease${number}`, partitionOf(number).id)).not.toBe(null)
    }
    expect([book.count, book.groupOf('lease0'), book.groupOf('lease42')]).toEqual([9, null, 'g'])
    book.add('giant', 'g', [runOf(50, 200_000)])
    expect([book.count, book.groupOf('giant')]).toEqual([1, 'g'])
    book.forget('giant')
    expect(book.bytes).toBe(0)
  })
})

it.each([
  ['all that was leased was delivered', { position: 100, leasedTo: 101 }, true],
  ['something that was leased was not delivered', { position: 100, leasedTo: 102 }, false],
  ['it is not known to be one range', null, false],
])('G7 a lease can be completed as a whole: %s', (_, held, expected) => {
  const book = new LeaseBook(100_000)
  book.add('lease', 'g', [runOf(1)], held)
  expect(book.whole('lease', partitionOf(1).id) !== null).toBe(expected)
})

describe('an ack that finds its lease in the book', () => {
  const ack = (more: Partial<AckItem> = {}): AckItem => ({
    transactionId: 't1',
    partitionId: partitionOf(1).id,
    status: 'completed',
    leaseId: 'lease',
    consumerGroup: null,
    error: null,
    ...more,
  })
  const resolve = async (item: AckItem) => {
    const book = new LeaseBook(1_000_000)
    book.add('lease', 'g', [runOf(1)])
    // The book knows the answer: whoever asks PostgreSQL has not found it.
    const asked = () => Promise.reject(new Error('asked the database'))
    return resolveAcks(
      { store: {} as ConsumeStore, catalog: { partitionsById: asked }, book },
      [item],
      [],
      Number.POSITIVE_INFINITY,
    )
  }

  it.each([
    ['without its group', {}],
    ['with its group', { consumerGroup: 'g' }],
    ['with its partition in capital letters', { partitionId: partitionOf(1).id.toUpperCase() }],
  ])('is written %s', async (_, more) => {
    const { entries } = await resolve(ack(more))
    expect(entries).toMatchObject([{ group: 'g', leaseId: 'lease', acks: [{ index: 0, offset: 100 }] }])
  })

  it('is refused when it names another group', async () => {
    const { entries, results } = await resolve(ack({ consumerGroup: 'other' }))
    expect([entries, results]).toMatchObject([[], [{ success: false, code: 'INVALID_LEASE' }]])
  })
})
