/** Pop and ack end to end through the consumer, on a real PostgreSQL. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

describe('pop and ack', () => {
  it('delivers in order, acks, and goes on behind (G2, G4, G7)', async () => {
    const queueId = await fixture.createQueue('basic')
    const partition = await fixture.createPartition(queueId, 'Default')
    await fixture.append(partition, names('m', 25))
    await fixture.append(partition, names('m', 25, 25))
    const consumer = fixture.consumer()
    const seen: string[] = []
    for (;;) {
      const answer = await consumer.popMessages(popRequest({ queue: 'basic', batch: 10 }), never)
      if (answer.runs.length === 0) break
      seen.push(...delivered(answer))
      const results = await consumer.ackMessages(acksOf(answer))
      expect(results.every(({ success }) => success)).toBe(true)
      expect(results.filter(({ leaseReleased }) => leaseReleased)).toHaveLength(1)
    }
    expect(seen).toEqual(names('m', 50))
  })

  it('completes on delivery with autoAck', async () => {
    const queueId = await fixture.createQueue('auto')
    const partition = await fixture.createPartition(queueId, 'Default')
    await fixture.append(partition, names('m', 7))
    const consumer = fixture.consumer()
    const first = await consumer.popMessages(popRequest({ queue: 'auto', batch: 5, autoAck: true }), never)
    expect(delivered(first)).toEqual(names('m', 5))
    expect(first.leaseId).toBe('')
    const second = await consumer.popMessages(popRequest({ queue: 'auto', batch: 5, autoAck: true }), never)
    expect(delivered(second)).toEqual(['m5', 'm6'])
    const third = await consumer.popMessages(popRequest({ queue: 'auto', batch: 5, autoAck: true }), never)
    expect(third.emptyReason).toBe('no_message')
  })

  it('tells an id from one whose letters are the bytes of its own (G7)', async () => {
    const queueId = await fixture.createQueue('letters')
    const partition = await fixture.createPartition(queueId, 'Default')
    await fixture.append(partition, ['é', 'Ã©', 'z'])
    const consumer = fixture.consumer()
    const first = await consumer.popMessages(popRequest({ queue: 'letters', batch: 3 }), never)
    const [, letters] = acksOf(first)
    expect(letters!.transactionId).toBe('Ã©')
    await consumer.ackMessages([letters!])
    await consumer.ackMessages(acksOf(first).map((ack) => ({ ...ack, status: 'retry' as const })))
    const second = await consumer.popMessages(popRequest({ queue: 'letters', batch: 3 }), never)
    expect(delivered(second)).toEqual(['é', 'z'])
  })

  it('brings back only what was not acked, before newer messages (G7)', async () => {
    const queueId = await fixture.createQueue('holes')
    const partition = await fixture.createPartition(queueId, 'Default')
    await fixture.append(partition, names('m', 6))
    const consumer = fixture.consumer()
    const first = await consumer.popMessages(popRequest({ queue: 'holes', batch: 4 }), never)
    const acks = acksOf(first)
    await consumer.ackMessages([acks[1]!])
    await consumer.ackMessages([acks[3]!, { ...acks[0]!, status: 'retry' }])
    const last = await consumer.ackMessages([{ ...acks[2]!, status: 'failed' }])
    expect(last[0]).toMatchObject({ success: true, leaseReleased: true, dlq: false })
    const second = await consumer.popMessages(popRequest({ queue: 'holes', batch: 3 }), never)
    expect(delivered(second)).toEqual(['m0', 'm2', 'm4'])
    expect(second.runs[0]!.retryCounts).toEqual(new Map([[2, 1]]))
  })
})
