/** The buffer's rules without network: order, bounds, verdicts, room. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judgeFailure, judgeResults } from '../../src/buffer/flush-verdict.ts'
import { PartitionBuffer, readBufferOptions } from '../../src/buffer/partition-buffer.ts'
import { RejectedItems } from '../../src/buffer/rejected.ts'
import { Room } from '../../src/buffer/room.ts'
import { QueenConnectionError, QueenUsageError } from '../../src/errors/classes.ts'
import { QueenError } from '../../src/errors/queen-error.ts'
import type { PreparedItem } from '../../src/push/prepare.ts'
import type { PushItemResult } from '../../src/types/push.ts'

const item = (n: number, bytes = 10): PreparedItem => ({
  item: { queue: 'q', partition: 'p', payload: n, transactionId: `t${n}` },
  text: JSON.stringify({ transactionId: `t${n}` }),
  bytes,
  ownId: true,
})
const limits = (changes = {}) => readBufferOptions({ messageCount: 10, ...changes })

describe('a buffer', () => {
  test('options: defaults, bounds, misuse', () => {
    expect(readBufferOptions({})).toMatchObject({ messageCount: 100, timeMillis: 1000, maxMessages: 400 })
    expect(readBufferOptions({ messageCount: 5 }).maxMessages).toBe(20)
    for (const wrong of [{ messageCount: 0 }, { timeMillis: -1 }, { maxMessages: Number.NaN }]) {
      expect(() => readBufferOptions(wrong)).toThrow(QueenUsageError)
    }
  })

  test('keeps order and bytes through partial verdicts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), fc.array(fc.boolean(), { maxLength: 8 })), {
          maxLength: 20,
          size: 'max',
        }),
        (rounds) => {
          const buffer = new PartitionBuffer('q', 'p', limits({ messageCount: 5 }))
          let added = 0
          for (const [count, keep] of rounds) {
            buffer.append(
              Array.from({ length: count }, () => item(added++, added)),
              0,
            )
            const batch = buffer.batch(1_000_000)
            expect(batch.count).toBeLessThanOrEqual(5)
            const sent = batch.chunks.flatMap((chunk) => chunk.items('q', 'p'))
            expect(sent).toEqual(buffer.allItems().slice(0, batch.count))
            buffer.resolveFront(
              batch,
              sent.filter((_, k) => keep[k]),
            )
            const left = buffer.allItems()
            expect(left.map(({ sequence }) => sequence)).toEqual(
              [...left.map(({ sequence }) => sequence)].sort((a, b) => a - b),
            )
            expect(left.every(({ item, sequence }) => item.transactionId === `t${sequence}`)).toBe(true)
            expect(buffer.size).toBe(left.length)
            expect(buffer.bytes).toBe(left.reduce((sum, { bytes }) => sum + bytes, 0))
          }
        },
      ),
    )
  })

  test('a batch is bounded by count and bytes, but never empty', () => {
    const buffer = new PartitionBuffer('q', 'p', limits({ messageCount: 3 }))
    buffer.append([item(0, 100), item(1, 100), item(2, 100), item(3, 1)], 0)
    expect(buffer.batch(1000)).toMatchObject({ count: 3, bytes: 300 })
    expect(buffer.batch(250)).toMatchObject({ count: 2, bytes: 200 })
    expect(buffer.batch(1)).toMatchObject({ count: 1, bytes: 100 })
    buffer.sendMax = 2
    expect(buffer.batch(1000)).toMatchObject({ count: 2, bytes: 200 })
  })

  test('is due when full, old, or asked for', () => {
    const buffer = new PartitionBuffer('q', 'p', limits({ messageCount: 3, timeMillis: 100 }))
    expect(buffer.isDue(1000)).toBe(false)
    buffer.append([item(0), item(1)], 0)
    expect([buffer.isDue(99), buffer.isDue(100)]).toEqual([false, true])
    buffer.dueUpTo = buffer.lastSequence
    expect(buffer.isDue(0)).toBe(true)
    buffer.resolveFront(buffer.batch(1000), [])
    buffer.append([item(2)], 50)
    expect(buffer.isDue(60)).toBe(false)
    buffer.append([item(3), item(4)], 60)
    expect(buffer.isDue(60)).toBe(true)
  })
})

describe('verdicts (G8)', () => {
  const buffered = [0, 1, 2, 3, 4, 5].map((n) => ({ ...item(n), sequence: n, addedAt: 0 }))
  const result = (status: PushItemResult['status'], code?: string): PushItemResult => ({
    index: 0,
    transactionId: '',
    status,
    ...(code ? { code, error: code } : {}),
  })

  test('stored, refused, or kept: each item exactly one', () => {
    const verdict = judgeResults(buffered, [
      result('queued'),
      result('duplicate'),
      result('failed', 'INVALID_NAME'),
      result('failed', 'QUEUE_FULL'),
      result('failed', 'INVALID_ANSWER'),
    ])
    expect(verdict.stored).toBe(2)
    expect(verdict.refused.map(({ item }) => item.sequence)).toEqual([2])
    expect(verdict.kept.map(({ sequence }) => sequence)).toEqual([3, 4, 5])
    expect(verdict.error).toMatchObject({ code: 'QUEUE_FULL' })
  })

  test.each([
    [new QueenConnectionError('x', { code: 'CONNECTION_FAILED', retryable: true }), 'keep'],
    [new QueenError('x', { code: 'X', status: 503, retryable: true }), 'keep'],
    [new QueenError('x', { code: 'X', status: 429, retryable: true }), 'keep'],
    [new QueenError('x', { code: 'INVALID_TOKEN', status: 401 }), 'keep'],
    [new QueenError('x', { code: 'FORBIDDEN', status: 403 }), 'keep'],
    [new QueenError('x', { code: 'INVALID_ANSWER' }), 'keep'],
    [new Error('unexpected'), 'keep'],
    [new QueenError('x', { code: 'INVALID_BODY', status: 400 }), 'refuse'],
    [new QueenError('x', { code: 'PAYLOAD_TOO_LARGE', status: 413 }), 'split'],
  ])('%s → %s', (error, decision) => {
    expect(judgeFailure(error, { items: 2, buffers: 1 })).toBe(decision)
    if (decision === 'refuse') expect(judgeFailure(error, { items: 2, buffers: 2 })).toBe('split')
    if (decision === 'split') expect(judgeFailure(error, { items: 1, buffers: 1 })).toBe('refuse')
  })

  test('rejected: all counted, 1000 kept', () => {
    const rejected = new RejectedItems()
    for (let k = 0; k < 3; k++) rejected.add(Array.from({ length: 600 }, (_, n) => item(n).item))
    expect([rejected.count, rejected.items.length]).toEqual([1800, 1000])
  })
})

describe('room (G9)', () => {
  function setUp(bytesMax: number) {
    const room: Room = new Room(bytesMax, { admitted: () => {}, wanted: () => {} })
    const drain = (buffer: PartitionBuffer, count: number) => {
      const before = buffer.bytes
      buffer.sendMax = count
      if (buffer.size > 0) buffer.resolveFront(buffer.batch(Number.POSITIVE_INFINITY), [])
      room.freed(buffer, before - buffer.bytes)
    }
    return { room, drain }
  }

  test('lets in what fits, makes the rest wait in order of arrival', async () => {
    const { room, drain } = setUp(1000)
    const buffer = new PartitionBuffer('q', 'p', limits({ maxMessages: 2 }))
    const order: number[] = []
    expect(room.enter([{ buffer, items: [item(0), item(1)] }])).toBe(null)
    const waits = [2, 3].map((n) => room.enter([{ buffer, items: [item(n)] }])!.admitted.then(() => order.push(n)))
    expect(room.waitingPushes).toBe(2)
    drain(buffer, 2)
    await Promise.all(waits)
    expect([order, room.waitingPushes]).toEqual([[2, 3], 0])
  })

  test('a push that fits is let in as a whole or not at all; one that is called off leaves nothing', async () => {
    const { room, drain } = setUp(1000)
    const buffer = new PartitionBuffer('q', 'p', limits({ maxMessages: 3 }))
    room.enter([{ buffer, items: [item(0), item(1)] }])
    const waiting = room.enter([{ buffer, items: [item(2), item(3)] }])!
    const behind = room.enter([{ buffer, items: [item(4)] }])!
    expect(buffer.size).toBe(2)
    waiting.cancel()
    await behind.admitted
    expect(buffer.allItems().map(({ item }) => item.transactionId)).toEqual(['t0', 't1', 't4'])
    drain(buffer, 3)
    expect(room.bytes).toBe(0)
  })

  test('who waits for bytes is not passed by a smaller push into another buffer', async () => {
    const { room, drain } = setUp(100)
    const [a, b, c] = ['a', 'b', 'c'].map((name) => new PartitionBuffer('q', name, limits()))
    room.enter([{ buffer: a!, items: [item(0, 90)] }])
    const large = room.enter([{ buffer: b!, items: [item(1, 50)] }])!
    const small = room.enter([{ buffer: c!, items: [item(2, 10)] }])!
    expect([b!.size, c!.size, room.waitingPushes]).toEqual([0, 0, 2])
    drain(a!, 1)
    await Promise.all([large.admitted, small.admitted])
    expect([b!.size, c!.size, room.bytes]).toEqual([1, 1, 60])
  })

  test('one larger than the bound goes in slices; an item larger than the bound passes alone', async () => {
    const { room, drain } = setUp(50)
    const buffer = new PartitionBuffer('q', 'p', limits({ maxMessages: 100 }))
    const big = room.enter([{ buffer, items: [item(0, 30), item(1, 30), item(2, 500), item(3, 10)] }])!
    const sizes: number[] = []
    while (buffer.size > 0) {
      sizes.push(buffer.size)
      drain(buffer, buffer.size)
    }
    await big.admitted
    expect(sizes).toEqual([1, 1, 1, 1])
  })

  test('never over the bounds, nothing lost, order kept, everybody comes in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            buffer: fc.nat(2),
            items: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }),
            cancel: fc.boolean(),
          }),
          { maxLength: 25, size: 'max' },
        ),
        fc.integer({ min: 20, max: 120 }),
        fc.infiniteStream(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 4 }))),
        async (pushes, bytesMax, drains) => {
          const { room, drain } = setUp(bytesMax)
          const buffers = [0, 1, 2].map((n) => new PartitionBuffer('q', String(n), limits({ maxMessages: 4 })))
          const expected: number[][] = [[], [], []]
          const arrived: number[][] = [[], [], []]
          let next = 0
          const check = () => {
            const bytes = buffers.reduce((sum, one) => sum + one.bytes, 0)
            const items = buffers.reduce((sum, one) => sum + one.size, 0)
            expect(bytes).toBe(room.bytes)
            expect(bytes <= bytesMax || items === 1).toBe(true)
            for (const one of buffers) expect(one.size).toBeLessThanOrEqual(4)
          }
          const take = (which: number, count: number) => {
            for (const { item } of buffers[which]!.allItems().slice(0, count)) {
              arrived[which]!.push(Number(item.transactionId.slice(1)))
            }
            drain(buffers[which]!, count)
            check()
          }
          for (const push of pushes) {
            const items = push.items.map((bytes) => item(next++, bytes))
            const entry = room.enter([{ buffer: buffers[push.buffer]!, items }])
            check()
            // Only a push that is let in as a whole can be called off without a trace.
            const whole = items.length <= 4 && items.reduce((sum, { bytes }) => sum + bytes, 0) <= bytesMax
            if (entry !== null && push.cancel && whole) {
              entry.cancel()
              check()
            } else expected[push.buffer]!.push(...items.map(({ item }) => item.payload))
            const [which, count] = drains.next().value
            take(which, count)
          }
          for (let k = 0; k < 10_000 && (room.bytes > 0 || room.waitingPushes > 0); k++) {
            for (const which of [0, 1, 2]) take(which, 4)
            await null
          }
          expect(arrived).toEqual(expected)
          expect(room.waitingPushes).toBe(0)
        },
      ),
      { numRuns: 200 },
    )
  })
})
