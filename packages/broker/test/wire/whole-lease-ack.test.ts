/** A batch that is only compared with what was delivered means what the parser says of it. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AckItem, AckResult, DeliveredLease } from '../../src/engine/types.ts'
import { ackAnswer } from '../../src/http/wire/ack-answer.ts'
import { parseAckBatchBody } from '../../src/http/wire/ack-body.ts'
import { wholeLeaseAck, wholeLeaseAnswer } from '../../src/http/wire/whole-lease-ack.ts'
import { PARTITION } from '../http/scripted-engine.ts'
import { segmentOf } from '../http/segments.ts'

const LEASE = `${PARTITION.id}0000`
const GROUP = 'workers'

/** Delivered from two segments. */
function lease(ids: readonly string[]): DeliveredLease {
  const half = ids.length >> 1
  const runs = [ids.slice(0, half), ids.slice(half)].map((part) => ({
    partition: PARTITION,
    segment: segmentOf(part.map((transactionId) => ({ transactionId, payload: '{}' }))),
    indices: part.map((_, index) => index),
    retryCounts: null,
  }))
  return { leaseId: LEASE, group: GROUP, partition: PARTITION, runs, messages: ids.length }
}

const ids = (count: number, id = 'message'): string[] =>
  Array.from({ length: count }, (_, i) => `${String(i).padStart(4, '0')}${id}`)
const ack = (transactionId: string, more: object = {}): object => ({
  ...{ transactionId, partitionId: PARTITION.id, leaseId: LEASE, status: 'completed', ...more },
})
const found = (body: Buffer, delivered: DeliveredLease, itemsMax = 10_000) =>
  wholeLeaseAck(body, itemsMax, (leaseId, partitionId) =>
    leaseId === LEASE && partitionId === PARTITION.id ? delivered : null,
  )
const bodyOf = (acks: readonly object[], more: object = {}, space: string | number = 0): Buffer =>
  Buffer.from(JSON.stringify({ acknowledgments: acks, ...more }, null, space))

/** What it has to be when it is taken for a whole lease. */
function completesAll(body: Buffer, sent: readonly string[]): boolean {
  const acks = parseAckBatchBody(body, sent.length)
  return (
    acks.length === sent.length &&
    acks.every(
      ({ item, refused }, i) =>
        refused === null &&
        item.transactionId === sent[i] &&
        item.partitionId.toLowerCase() === PARTITION.id &&
        item.leaseId === LEASE &&
        [null, GROUP].includes(item.consumerGroup) &&
        item.status === 'completed',
    )
  )
}

describe('a batch that completes a whole lease', () => {
  it.each([
    ['as JSON.stringify writes it', {}, {}, 0],
    ['with spaces', {}, {}, 1],
    ['with fields of no meaning', { note: '} , ]', nested: { a: [1] } }, { x: [{}] }, 0],
    ['with another status that means the same', { status: 'success' }, {}, 0],
    ['with a group', { consumerGroup: GROUP }, {}, 0],
    ['with a group for all', { consumerGroup: null, error: null }, { consumerGroup: GROUP }, 0],
    ['with a partition in capitals', { partitionId: PARTITION.id.toUpperCase() }, {}, 0],
  ])('is recognized %s', (_, more, around, space) => {
    for (const count of [5, 6, 10, 11, 100, 101, 700]) {
      const sent = ids(count)
      const body = bodyOf(
        sent.map((id) => ack(id, more)),
        around,
        space,
      )
      expect(completesAll(body, sent)).toBe(true)
      expect(found(body, lease(sent))).not.toBeNull()
    }
  })

  const ten = ids(10)
  it.each<[string, readonly object[], object]>([
    ['one is missing', ten.slice(1).map((id) => ack(id)), {}],
    ['the last is missing', ten.slice(0, 9).map((id) => ack(id)), {}],
    ['one is sent twice', [...ten, '0009message'].map((id) => ack(id)), {}],
    ['they are in another order', [...ten].reverse().map((id) => ack(id)), {}],
    ['two have changed places', [1, 0, ...ids(8).map((_, i) => i + 2)].map((i) => ack(ten[i]!)), {}],
    ['one of them failed', ten.map((id, i) => ack(id, i === 6 ? { status: 'retry' } : {})), {}],
    ['the last of them failed', ten.map((id, i) => ack(id, i === 9 ? { status: 'failed' } : {})), {}],
    ['all of them failed', ten.map((id) => ack(id, { status: 'failed' })), {}],
    ['a status does not exist', ten.map((id) => ack(id, { status: 'done' })), {}],
    ['they name another group', ten.map((id) => ack(id, { consumerGroup: 'others' })), {}],
    ['all name another group', ten.map((id) => ack(id)), { consumerGroup: 'others' }],
    ['one names another lease', ten.map((id, i) => ack(id, i === 3 ? { leaseId: `${LEASE}1` } : {})), {}],
    ['none names a lease', ten.map((id) => ack(id, { leaseId: null })), { leaseId: LEASE }],
    ['the id stands somewhere else, too', ten.map((id) => ack(id, { error: id })), {}],
    ['something is escaped', ten.map((id) => ack(id, { note: '"' })), {}],
    ['there is an ack in front', [ack('0009message'), ...ten.map((id) => ack(id))], {}],
    [
      'all name another partition',
      ten.map((id) => ({ was: { partitionId: PARTITION.id }, ...ack(id, { partitionId: GROUP }) })),
      {},
    ],
  ])('is parsed when %s', (_, acks, more) => {
    expect(found(bodyOf(acks, more), lease(ten))).toBeNull()
  })

  it.each([
    ['a quote', (id: string) => `${id}"`],
    ['a backslash', (id: string) => `${id}\\`],
    ['a control character', (id: string) => `${id}\u0001`],
    ['another script', (id: string) => `${id}é`],
    ['a backslash late', (id: string, i: number) => (i === 7 ? `${id.slice(1)}\\` : id)],
    ['lengths that differ', (id: string, i: number) => id + (i === 7 ? 'x' : '')],
  ])('is parsed when the ids have %s', (_, change) => {
    const sent = ten.map(change)
    expect(found(bodyOf(sent.map((id) => ack(id))), lease(sent))).toBeNull()
    // As bytes they stand there, but mean something else.
    const raw = Buffer.concat(
      [
        `{"acknowledgments":[`,
        ...sent.map((id, i) => `${i === 0 ? '' : ','}${JSON.stringify(ack('@')).replace('@', id)}`),
        ']}',
      ].map((text) => Buffer.from(text)),
    )
    expect(found(raw, lease(sent))).toBeNull()
  })

  it('is parsed when one of the ids is the beginning of what was delivered', () => {
    const sent = ten.map((id, i) => id + (i === 7 ? 'x' : ''))
    expect(found(bodyOf(ten.map((id) => ack(id))), lease(sent))).toBeNull()
  })

  const escaped = (id: string): string => `\\u${id.charCodeAt(0).toString(16).padStart(4, '0')}${id.slice(1)}`
  const ackText = (id: string, more = ''): string => JSON.stringify(ack('@')).replace('"@"', `"${id}"${more}`)
  it.each([
    [
      'in an array beside three acks of the same ids',
      ten,
      () => `{"acknowledgments":[${ten.slice(0, 3).map((id) => ackText(escaped(id)))}],"x":${JSON.stringify(ten)}}`,
    ],
    [
      'in a field of no meaning, and the acks repeat the first',
      'xxxyyy'.split(''),
      (sent: readonly string[]) =>
        `{"acknowledgments":[${sent.map((id) => ackText(escaped('x')).replace('{', `{"note":"${id}",`))}]}`,
    ],
    [
      'overruled by a key that is spelt otherwise',
      'xxxyyy'.split(''),
      (sent: readonly string[]) =>
        `{"acknowledgments":[${sent.map((id) => ackText(id, ',"transactionI\\u0064":"\\u0078"'))}]}`,
    ],
    [
      'behind the acks the parser is asked about',
      'xyzxyz'.split(''),
      (sent: readonly string[]) =>
        `{"acknowledgments":[${'abc'.split('').map((id) => ackText(id))}],"note":${JSON.stringify(sent)}}`,
    ],
    [
      'before the acks the parser is asked about',
      'xyzxyz'.split(''),
      (sent: readonly string[]) =>
        `{"note":${JSON.stringify(sent)},"acknowledgments":[${'abc'.split('').map((id) => ackText(id))}]}`,
    ],
    [
      'in other acks than those that count',
      ten,
      (sent: readonly string[]) => `{"acknowledgments":[${sent.map((id) => ackText(id))}],"acknowledgments":[]}`,
    ],
  ])('G7 is parsed when the ids of the lease stand %s', (_, sent, text) => {
    const body = Buffer.from(text(sent))
    expect(completesAll(body, sent)).toBe(false)
    expect(found(body, lease(sent))).toBeNull()
  })

  it('is parsed when it is too large, or has more acks than a batch may have', () => {
    const sent = ids(50)
    const body = bodyOf(sent.map((id) => ack(id)))
    expect(found(body, lease(sent), 50)).not.toBeNull()
    expect(found(body, lease(sent), 49)).toBeNull()
    expect(found(bodyOf(ten.map((id) => ack(id, { error: 'x'.repeat(2_000) }))), lease(ten))).toBeNull()
    const many = ids(2_500)
    expect(found(bodyOf(many.map((id) => ack(id))), lease(many))).toBeNull()
  })

  it.each([1, 2, 3, 4])('is parsed when there are so few acks that it costs no more: %i', (count) => {
    const sent = ids(count)
    expect(found(bodyOf(sent.map((id) => ack(id))), lease(sent))).toBeNull()
  })

  it('means what the parser says, whatever has become of its bytes', () => {
    const field = fc.constantFrom(
      ...['"transactionId":"#"', '"transactionId":"x"', `"partitionId":"${PARTITION.id}"`, `"leaseId":"${LEASE}"`],
      ...[
        '"status":"completed"',
        '"status":"failed"',
        '"status":null',
        '"error":"#"',
        '"error":"a\\"b"',
        '"x":{"y":[1]}',
        '"note":"#"',
        '"transactionId":"\\u0061"',
        '"transactionId":"a"',
      ],
      ...['"transactionI\\u0064":"#"', '"consumerGroup":"workers"', '"consumerGroup":null', '"#":1', '"leaseId":null'],
    )
    const whole = fc
      .shuffledSubarray(
        ['"transactionId":"#"', `"partitionId":"${PARTITION.id}"`, `"leaseId":"${LEASE}"`, '"status":"completed"'],
        { minLength: 4 },
      )
      .chain((usual) => fc.array(field, { maxLength: 2 }).map((more) => [...usual, ...more]))
    const damage = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      text: fc.constantFrom('', '"', '}', '{', ',', ']', '\\', ' ', 'x', '{"transactionId":"x"},'),
      over: fc.nat(1),
    })
    let recognized = 0
    fc.assert(
      fc.property(
        ...[
          whole,
          fc.oneof(
            fc.integer({ min: 5, max: 12 }).map((count) => ids(count)),
            // Pieces of JSON, what the samples have, and the same several times.
            fc.array(fc.constantFrom(...'ab:,'), { minLength: 5, maxLength: 12 }),
            fc.array(fc.constantFrom('a', 'b'), { minLength: 3, maxLength: 6 }).map((rest) => ['a', 'a', 'a', ...rest]),
          ),
          fc.constantFrom(',', ', ', ',\n', ',,'),
          fc.constantFrom(']}', ']}x', '],"consumerGroup":"workers"}', ',{}]}'),
        ],
        fc.option(damage),
        (fields, sent, between, end, damaged) => {
          const element = `{${fields.join(',')}}`
          let text = `{"acknowledgments":[${sent.map((id) => element.replaceAll('#', id)).join(between)}${end}`
          if (damaged !== null) {
            const at = Math.floor(damaged.at * text.length)
            text = text.slice(0, at) + damaged.text + text.slice(at + damaged.over)
          }
          const body = Buffer.from(text)
          if (found(body, lease(sent)) === null) return
          recognized++
          expect(completesAll(body, sent)).toBe(true)
        },
      ),
      { numRuns: 3_000 },
    )
    expect(recognized).toBeGreaterThan(100)
  })

  it('is answered as if it had been parsed', () => {
    for (const count of [5, 10, 11, 12, 100, 101, 1_200]) {
      const sent = ids(count)
      const body = bodyOf(sent.map((id) => ack(id)))
      const result = { success: true, code: null, error: null, dlq: false } as const
      const names = { queueName: PARTITION.queue.name, partitionName: PARTITION.name }
      const results = sent.map((_, i): AckResult => ({ ...result, ...names, leaseReleased: i === count - 1 }))
      const texts = sent.map((transactionId, i) => ackAnswer(i, { transactionId } as AckItem, results[i]!))
      expect(wholeLeaseAnswer(found(body, lease(sent))!).latin1Slice()).toBe(`[${texts.join()}]`)
    }
  })
})
