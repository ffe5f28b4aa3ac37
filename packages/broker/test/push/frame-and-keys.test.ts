import { hash, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { emptyFrameParts, frameBytes, readFrame, writeFrame } from '../../src/engine/format/frame.ts'
import { MessageIdRun, MessageIdSource, messageIdAt, messageIdDistance } from '../../src/engine/format/message-id.ts'
import { KEY_BYTES, writeTransactionKey, writeTransactionKeyOf } from '../../src/engine/format/transaction-key.ts'
import { RecordReader, recordsOf } from '../../src/engine/push/buffered-message.ts'
import { DedupCache } from '../../src/engine/push/dedup-cache.ts'
import { KeySet } from '../../src/engine/push/key-set.ts'
import { PushItem } from '../../src/engine/push/push-item.ts'
import { buildSegment, frameMessage, segmentBytesMax } from '../../src/engine/push/segment-build.ts'
import { item } from './push-stack.ts'

const id = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90, size: 'max' }),
  fc.uuid(),
  fc.uuid().map((text) => text.toUpperCase()),
  fc.string({ minLength: 36, maxLength: 36 }),
)
const anyItem: fc.Arbitrary<PushItem> = fc
  .record({
    queue: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20, size: 'max' }),
    partition: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20, size: 'max' }),
    transactionId: id,
    traceId: fc.option(fc.uuid()),
    producerSub: fc.option(fc.string({ unit: 'grapheme', maxLength: 300, size: 'max' })),
    payload: fc.string({ unit: 'grapheme', maxLength: 200, size: 'max' }),
    generatedId: fc.boolean(),
    encrypted: fc.boolean(),
  })
  .map(({ queue, partition, transactionId, payload, ...more }) => item(queue, partition, transactionId, payload, more))

const keyOf = (transactionId: string): Buffer => {
  const key = Buffer.alloc(KEY_BYTES)
  writeTransactionKey(transactionId, key, 0)
  return key
}

describe('keys of transactionIds', () => {
  test('a canonical UUID is its own key, everything else its SHA-256; both ways of writing agree', () => {
    fc.assert(
      fc.property(id, (text) => {
        const canonical = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text)
        const expected = canonical
          ? Buffer.from(text.replaceAll('-', ''), 'hex')
          : Buffer.from(hash('sha256', text, 'hex'), 'hex').subarray(0, KEY_BYTES)
        expect(keyOf(text).equals(expected)).toBe(true)
        const bytes = Buffer.from(`x${text}y`)
        const other = Buffer.alloc(KEY_BYTES)
        writeTransactionKeyOf(bytes, 1, bytes.length - 1, other, 0)
        expect(other.equals(expected)).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })

  test('a set of keys finds repeats and nothing else, also when it is used again', () => {
    const set = new KeySet()
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 200, size: 'max' }), (numbers) => {
        const keys = Buffer.concat(numbers.map((number) => keyOf(`k${number}`)))
        set.reset(numbers.length)
        const first = new Map<number, number>()
        numbers.forEach((number, index) => {
          expect(set.add(keys, 0, index)).toBe(first.get(number) ?? -1)
          if (!first.has(number)) first.set(number, index)
        })
      }),
      { numRuns: 200 },
    )
  })
})

describe('message ids', () => {
  test('are UUIDs of version 7 in a row, and never the same for two sources', () => {
    const source = new MessageIdSource()
    const base = source.take(10_000, Date.now())
    expect(base).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const run = new MessageIdRun(base)
    for (let i = 0; i < 10_000; i++) {
      const next = run.next()
      if (next !== messageIdAt(base, i) || messageIdDistance(base, next) !== i)
        throw new Error(`${next} at ${i} of ${base}`)
    }
    expect(messageIdDistance(base, source.take(1, 0))).toBe(-1)
    const other = new MessageIdSource()
    expect(other.take(1, 0).slice(14)).not.toBe(base.slice(14))
  })

  test('stay unique when the counter meets its end', () => {
    const source = new MessageIdSource((bytes) => new Uint8Array(bytes).fill(255))
    expect(source.take(5, 0).slice(24)).toBe('7fffffffffff')
  })
})

describe('frames, segments and records', () => {
  test('a segment holds every message as it came, in order, with its key', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(anyItem, { minLength: 1, maxLength: 12, selector: ({ transactionId }) => transactionId }),
        (items) => {
          const target = Buffer.alloc(segmentBytesMax(items) + 10, 0xaa)
          const { segment, end } = buildSegment('p', items, '01a20857-5575-7000-b149-000000000000', null, 0, target, 5)
          expect(end).toBeLessThanOrEqual(5 + segmentBytesMax(items))
          expect([target[4], target[end]]).toEqual([0xaa, 0xaa])
          const frames = Buffer.from(segment.write.body.subarray(1))
          const parts = emptyFrameParts()
          items.forEach((entry, index) => {
            readFrame(frames, segment.starts[index]!, parts)
            expect(frames.utf8Slice(parts.transactionIdStart, parts.transactionIdEnd)).toBe(entry.transactionId)
            expect(frames.utf8Slice(parts.payloadStart, parts.payloadEnd)).toBe(entry.source.toString())
            expect(keyOf(entry.transactionId).equals(segment.write.keys.subarray(index * 16, index * 16 + 16))).toBe(
              true,
            )
          })
          expect(segment.starts[items.length]).toBe(frames.length)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('an id that lies beside its payload makes the same frame as one that does not, beside another payload too', () => {
    fc.assert(
      fc.property(
        anyItem,
        fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 90, size: 'max' }),
        (entry, transactionId) => {
          const { queue, partition, producerSub, traceId, source, encrypted, generatedId } = entry
          const { length } = source
          const both = Buffer.concat([source, Buffer.from(transactionId)])
          const apart = new PushItem(queue, partition, transactionId, traceId, producerSub, source, 0, length)
          const beside = new PushItem(
            queue,
            partition,
            null,
            traceId,
            producerSub,
            both,
            0,
            length,
            length,
            both.length,
          )
          for (const each of [apart, beside]) Object.assign(each, { encrypted, generatedId })
          const frameOf = (each: PushItem): Buffer => {
            const target = Buffer.alloc(segmentBytesMax([each]))
            return target.subarray(0, frameMessage(each, target, 0))
          }
          expect(frameOf(beside)).toEqual(frameOf(apart))
          // Nobody has read the id yet.
          beside.replacePayload(source, encrypted)
          expect(frameOf(beside)).toEqual(frameOf(apart))
          expect(beside.transactionId).toBe(transactionId)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('a record of the file buffer gives back the very item', () => {
    fc.assert(
      fc.property(fc.array(anyItem, { minLength: 1, maxLength: 6 }), fc.option(fc.uuid()), (items, lostFlush) => {
        const source = recordsOf(items, lostFlush)
        const target = Buffer.alloc(source.bytesMax)
        const reader = new RecordReader()
        let at = 0
        for (const [index, entry] of items.entries()) {
          const end = source.write(index, target, at)
          const read = reader.read({ acceptedAtMicros: 77, bytes: target, start: at, end })
          expect(read.source.utf8Slice(read.payloadStart, read.payloadEnd)).toBe(entry.source.toString())
          expect(read.source.utf8Slice(read.idStart, read.idEnd)).toBe(entry.transactionId)
          const { queue, partition, transactionId, traceId, producerSub, encrypted, generatedId } = entry
          expect(read).toMatchObject({
            queue,
            partition,
            transactionId,
            traceId,
            producerSub,
            encrypted,
            generatedId,
            lostFlush,
            acceptedAtMicros: 77,
          })
          at = end
        }
        expect(at).toBeLessThanOrEqual(source.bytesMax)
      }),
      { numRuns: 300 },
    )
  })

  test('a lost flush was sent when its id was made, or before its record was accepted when that was earlier', () => {
    const idMicros = Date.UTC(2026, 0, 1) * 1000
    const lostFlush = new MessageIdSource().take(1, idMicros / 1000)
    const source = recordsOf([item('orders', 'p', 'x')], lostFlush)
    const bytes = Buffer.alloc(source.bytesMax)
    const end = source.write(0, bytes, 0)
    const lostAt = (acceptedAtMicros: number) =>
      new RecordReader().read({ acceptedAtMicros, bytes, start: 0, end }).lostAtMicros
    expect([lostAt(idMicros + 90_000_000), lostAt(idMicros - 5_000_000)]).toEqual([idMicros, idMicros - 5_000_000])
  })

  test.each([null, '01a20857-5575-7000-b149-000000000000'])(
    'a record cut anywhere, or with bytes behind it, is refused and never read past its end (%s)',
    (lostFlush) => {
      const source = recordsOf(
        [item('orders', 'p', 'x', '{"a":1}', { traceId: randomUUID(), producerSub: 'me' })],
        lostFlush,
      )
      const target = Buffer.alloc(source.bytesMax)
      const whole = target.subarray(0, source.write(0, target, 0))
      const reader = new RecordReader()
      const readIn = (bytes: Buffer, start: number, end: number) =>
        reader.read({ acceptedAtMicros: 0, bytes, start, end })
      const read = (body: Buffer) => readIn(body, 0, body.length)
      expect(read(whole).transactionId).toBe('x')
      const between = Buffer.concat([whole, whole, whole])
      for (let end = 0; end < whole.length; end++) {
        expect(() => read(Buffer.from(whole.subarray(0, end)))).toThrow()
        expect(() => readIn(between, whole.length, whole.length + end)).toThrow()
      }
      expect(
        readIn(between, whole.length, 2 * whole.length).source.utf8Slice(
          whole.length + whole.length - 7,
          2 * whole.length,
        ),
      ).toBe('{"a":1}')
      expect(() => read(Buffer.concat([whole, Buffer.alloc(1)]))).toThrow()
      expect(() => read(Buffer.concat([Buffer.of(3), whole.subarray(1)]))).toThrow()
    },
  )

  test('writeFrame and readFrame agree', () => {
    const content = {
      flags: 8,
      transactionId: Buffer.from('id'),
      traceId: Buffer.alloc(16, 3),
      producerSub: Buffer.from('sub'),
      payload: Buffer.from('{}'),
    }
    const target = Buffer.alloc(frameBytes(content))
    const parts = emptyFrameParts()
    expect(writeFrame(target, 0, content)).toBe(target.length)
    expect(readFrame(target, 0, parts)).toBe(target.length)
    expect([parts.flags, target.utf8Slice(parts.producerSubStart, parts.producerSubEnd)]).toEqual([11, 'sub'])
  })

  test('what is generated here is not looked up, what comes out of a buffer is', () => {
    const known = new DedupCache(1e6).partition('p', 60)
    known.add(0, keyOf('a'))
    const build = (entry: PushItem) => buildSegment('p', [entry], 'x', known, 60, Buffer.alloc(1_000), 0).segment
    expect(build(item('q', 'p', 'a', '1', { generatedId: true })).stored.length).toBe(1)
    expect(build(item('q', 'p', 'a', '1', { generatedId: true, acceptedAtMicros: 1 })).suspects.length).toBe(1)
    expect(build(item('q', 'p', 'a')).suspects.length).toBe(1)
    expect(build(item('q', 'p', 'a', '1', { innocentBelow: 1 })).stored.length).toBe(1)
  })
})
