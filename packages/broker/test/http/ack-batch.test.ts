/** Batches of acks: what reaches the engine and what comes back. */
import { describe, expect, it } from 'vitest'
import type { AckItem } from '../../src/engine/types.ts'
import { ACKED, ID, LEASE_ID, PARTITION } from './scripted-engine.ts'
import { segmentOf } from './segments.ts'
import { startServer } from './test-server.ts'

describe('POST /api/v1/ack/batch', () => {
  it('G7 precise acks: judges items independently and keeps their order', async () => {
    let seen: readonly AckItem[] = []
    const { ask } = await startServer({
      ackMessages: async (items) => {
        seen = items
        return items.map(() => ({ ...ACKED }))
      },
    })
    const acknowledgments = [
      { transactionId: 'a', partitionId: ID },
      { transactionId: 'b', partitionId: ID, status: 'done' },
      { transactionId: 'c', partitionId: ID, consumerGroup: '\u0001' },
      { transactionId: 'd', partitionId: ID, status: 'retry' },
    ]
    const answer = await ask('POST', '/api/v1/ack/batch', JSON.stringify({ acknowledgments }))
    const brief = answer.json.map((r: Record<string, unknown>) => [r.index, r.transactionId, r.success, r.code])
    expect(brief).toEqual([
      [0, 'a', true, undefined],
      [1, 'b', false, 'INVALID_STATUS'],
      [2, 'c', false, 'INVALID_NAME'],
      [3, 'd', true, undefined],
    ])
    expect(seen.map(({ transactionId }) => transactionId)).toEqual(['a', 'd'])
  })

  it('completes a whole lease without judging its items, and judges them when it is not as believed', async () => {
    const ids = Array.from({ length: 12 }, (_, i) => `message-${String(i).padStart(2, '0')}`)
    const segment = segmentOf(ids.map((transactionId) => ({ transactionId, payload: '{}' })))
    const run = { partition: PARTITION, segment, indices: ids.map((_, index) => index), retryCounts: null }
    const lease = { leaseId: LEASE_ID, group: 'g', partition: PARTITION, runs: [run], messages: ids.length }
    let items: readonly AckItem[] | null = null
    let isEnded = true
    const { ask } = await startServer({
      deliveredLease: (leaseId, partitionId) => (leaseId === LEASE_ID && partitionId === PARTITION.id ? lease : null),
      completeLease: async (_, itemsOf) => {
        if (isEnded) return null
        items = itemsOf()
        return items.map((_, i) => ({ ...ACKED, success: i > 0, code: i > 0 ? null : 'INVALID_LEASE' }))
      },
    })
    const acknowledgments = ids.map((transactionId) => ({
      ...{ transactionId, partitionId: PARTITION.id, leaseId: LEASE_ID },
    }))
    const send = () => ask('POST', '/api/v1/ack/batch', JSON.stringify({ acknowledgments, consumerGroup: 'g' }))
    const all = await send()
    expect([all.status, items]).toEqual([200, null])
    expect(all.json).toEqual(
      ids.map((transactionId, index) => ({
        ...{ index, transactionId, success: true, error: null, queueName: 'orders', partitionName: 'p7' },
        ...{ leaseReleased: index === 11, dlq: false },
      })),
    )
    isEnded = false
    const judged = await send()
    expect(items).toMatchObject(
      ids.map((transactionId) => ({ transactionId, status: 'completed', consumerGroup: 'g' })),
    )
    expect(judged.json.map(({ code }: { code?: string }) => code)).toEqual([
      'INVALID_LEASE',
      ...Array(11).fill(undefined),
    ])
  })

  it('lets a group for all hold for all, answers [] for [] and refuses wrong shapes', async () => {
    let group: string | null = null
    const { ask } = await startServer({
      ackMessages: async (items) => {
        group = items[0]!.consumerGroup
        return items.map(() => ({ ...ACKED }))
      },
    })
    const one = { transactionId: 'a', partitionId: ID, consumerGroup: 'other' }
    await ask('POST', '/api/v1/ack/batch', JSON.stringify({ acknowledgments: [one], consumerGroup: 'g' }))
    expect(group).toBe('g')
    expect((await ask('POST', '/api/v1/ack/batch', '{"acknowledgments":[]}')).text).toBe('[]')
    const many = Array.from({ length: 10_001 }, () => ({ transactionId: 'a', partitionId: ID }))
    const cases: [unknown, string][] = [
      [{}, 'INVALID_BODY'],
      [{ acknowledgments: 'x' }, 'INVALID_BODY'],
      [{ acknowledgments: [one, 5] }, 'INVALID_BODY'],
      [{ acknowledgments: [one, { transactionId: 'b' }] }, 'INVALID_BODY'],
      [{ acknowledgments: [one], consumerGroup: 4 }, 'INVALID_BODY'],
      [{ acknowledgments: [one], consumerGroup: '' }, 'INVALID_NAME'],
      [{ acknowledgments: many }, 'TOO_MANY_ITEMS'],
    ]
    for (const [body, code] of cases) {
      const answer = await ask('POST', '/api/v1/ack/batch', JSON.stringify(body))
      expect([answer.status, answer.json.code]).toEqual([400, code])
    }
  })
})
