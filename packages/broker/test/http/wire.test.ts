/** The readers and writers of the wire, without a server. */
import { isName } from '@queen/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PopAnswer } from '../../src/engine/types.ts'
import { decodeSegment, splitTarget } from '../../src/http/path.ts'
import {
  parseAckAlone,
  parseAckBatchBodyInSlices,
  parseAckBody,
  parseAckBodyInSlices,
} from '../../src/http/wire/ack-body.ts'
import { parseBatch, scanBatch, scanOne } from '../../src/http/wire/ack-fields.ts'
import { popAnswer } from '../../src/http/wire/pop-answer.ts'
import { inOneGo, SLICE_BYTES } from '../../src/http/wire/steps.ts'
import { parseTimestamp } from '../../src/http/wire/timestamp.ts'
import { parseTransactionBody, parseTransactionBodyInSlices } from '../../src/http/wire/transaction-body.ts'
import { onePop } from './scripted-engine.ts'
import { type HandMade, segmentOf } from './segments.ts'

/** How often others had their turn meanwhile. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0
  let next = setImmediate(function count() {
    turns++
    next = setImmediate(count)
  })
  await work.catch(() => {})
  clearImmediate(next)
  return turns
}

/** Texts of which a slice ends at every place of the second half: one for each. */
function sliceEndsWithin(before: string, after: string): Buffer[] {
  const filler = 'x'.repeat(SLICE_BYTES - before.length)
  return Array.from({ length: after.length }, (_, k) => Buffer.from(before + filler.slice(k) + after))
}

describe('ack bodies', () => {
  it('read the same whether parsed or scanned', () => {
    const field = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constant(null),
      fc.integer(),
      fc.constant({}),
      fc.constant([1]),
    )
    const ack = fc.record(
      {
        transactionId: field,
        partitionId: field,
        status: field,
        leaseId: field,
        consumerGroup: field,
        error: field,
        other: field,
      },
      { requiredKeys: [] },
    )
    const body = fc.record(
      {
        acknowledgments: fc.oneof(
          fc.array(fc.oneof({ weight: 5, arbitrary: ack }, { weight: 1, arbitrary: field })),
          field,
        ),
        consumerGroup: field,
        x: field,
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(body, fc.integer({ min: 1, max: 4 }), fc.boolean(), (value, itemsMax, spaced) => {
        const bytes = Buffer.from(JSON.stringify(value, null, spaced ? 2 : 0))
        expect(inOneGo(scanBatch(bytes, itemsMax))).toEqual(parseBatch(bytes, itemsMax))
      }),
    )
  })

  it('keep of long texts what is needed to refuse them, and of an error what the contract says', () => {
    for (const [piece, asBytes] of [
      ['x', JSON.stringify],
      ['aé日💥', JSON.stringify],
      ['\n"\\\u0001\ud800', JSON.stringify],
      ['💥', (value: unknown) => JSON.stringify(value).replaceAll('💥', '\\ud83d\\udca5')],
    ] as const) {
      const long = piece.repeat(20_000)
      const cut = long.slice(0, 511)
      const fields = { transactionId: cut, partitionId: cut, status: cut, leaseId: cut, consumerGroup: cut }
      const sent = Object.fromEntries([...Object.keys(fields), 'error'].map((name) => [name, long]))
      const bytes = Buffer.from(asBytes({ acknowledgments: [sent], consumerGroup: long }))
      const expected = {
        elements: [{ ...fields, error: long.slice(0, 10_000) }],
        count: 1,
        consumerGroup: cut,
      }
      expect(parseBatch(bytes, 10)).toEqual(expected)
      expect(inOneGo(scanBatch(bytes, 10))).toEqual(expected)
    }
  })

  it('read the same wherever a slice ends', () => {
    const ack = '{"a":[1,{"b":2}],"transactionId":"t\\u0061","partitionId":null,"error":{"c":[]},"status":"failed"}'
    for (const bytes of sliceEndsWithin('{"f":"', `","acknowledgments":[${ack},[{}],{}],"y":[[]],"consumerGroup":[]}`))
      expect(inOneGo(scanBatch(bytes, 10))).toEqual(parseBatch(bytes, 10))
    const one = parseAckBody(Buffer.from('{"transactionId":"t","partitionId":"p","error":"e"}'))
    for (const bytes of sliceEndsWithin('{"f":"', '","x":{"y":[1]},"transactionId":"t","partitionId":"p","error":"e"}'))
      expect(parseAckAlone(inOneGo(scanOne(bytes)), '')).toEqual(one)
  })

  it('G9 let others have their turns', async () => {
    const junk = '"a":1,'.repeat(500_000)
    const slices = Math.floor(junk.length / SLICE_BYTES) - 1
    const ack = Buffer.from(`{${junk}"transactionId":"t","partitionId":"p"}`)
    expect(await turnsDuring(parseAckBodyInSlices(ack))).toBeGreaterThanOrEqual(slices)
    for (const text of [`{"acknowledgments":[${ack}]}`, `{${junk}"acknowledgments":[]}`, `[{${junk}"b":1}]`])
      expect(await turnsDuring(parseAckBatchBodyInSlices(Buffer.from(text), 10))).toBeGreaterThanOrEqual(slices)
  })

  it('keep nothing of what lies beyond the limit', () => {
    const bytes = Buffer.from(`{"acknowledgments":[${'{},'.repeat(100_000)}{}]}`)
    const batch = inOneGo(scanBatch(bytes, 10))
    expect([batch.count, batch.elements!.length]).toEqual([100_001, 10])
  })
})

describe('transaction bodies', () => {
  const limits = { itemsMax: 10, payloadBytesMax: SLICE_BYTES * 2 }
  const read = (bytes: Buffer) => {
    const { operations, ...rest } = parseTransactionBody(bytes, limits, 'p')
    const shown = operations.map((operation) => {
      if (operation.type === 'ack') return operation.item
      const { source, payloadStart, payloadEnd, idStart: _, idEnd: _end, ...item } = operation.item
      const { transactionId } = operation.item
      const payload = source.utf8Slice(payloadStart, payloadEnd)
      return { ...item, transactionId, payload: payload.replace(/x+/, 'x') }
    })
    return { ...rest, shown }
  }
  const push = '"items":[{"queue":"q","payload":{"n":[1,[2]]},"y":[[]]},{"queue":"","data":[3]}],"z":{"a":[]}}'
  const ack = '{"transactionId":"t","partitionId":"P","z":[{"a":1}],"type":"ack","type":"ack","status":"failed"}'

  it.each([
    ['an operation', '{"operations":[{"type":"push","f":"', `",${push},${ack}],"requiredLeases":["l",null]}`],
    [
      'the body',
      '{"f":"',
      `","operations":[{"type":"push",${push},${ack}],"w":[1,{"v":2}],"requiredLeases":["l","m"]}`,
    ],
    ['an ack', '{"operations":[{"f":"', `",${ack.slice(1)},{"type":"push","queue":"q","payload":[1]}]}`],
    ['a push that is inline', '{"operations":[{"payload":"', `","type":"push","queue":"q","v":[[]]},${ack}]}`],
    ['what is none', '{"f":"', '","operations":{"a":[1]},"operations":[[1],{"type":"push"}]}'],
  ])('read the same wherever a slice ends: in %s', (_, before, after) => {
    const outcome = (bytes: Buffer): unknown => {
      try {
        return read(bytes)
      } catch (error) {
        return (error as Error).message
      }
    }
    const whole = outcome(Buffer.from(`${before}x${after}`))
    for (const bytes of sliceEndsWithin(before, after)) expect(outcome(bytes)).toEqual(whole)
  })

  it('G9 let others have their turns', async () => {
    const junk = '"a":1,'.repeat(500_000)
    const slices = Math.floor(junk.length / SLICE_BYTES) - 1
    for (const text of [
      `{"operations":[{"type":"push",${junk}"queue":"q"}]}`,
      `{"operations":[{"type":"ack",${junk}"transactionId":"t"}]}`,
      `{${junk}"operations":[]}`,
      `{"operations":[${'1,'.repeat(1_000_000)}1]}`,
      `{"requiredLeases":[${'"l",'.repeat(1_000_000)}1],"operations":[]}`,
    ]) {
      const reading = parseTransactionBodyInSlices(Buffer.from(text), limits, null)
      expect(await turnsDuring(reading)).toBeGreaterThanOrEqual(Math.min(slices, 4))
    }
  })
})

describe('pop answers', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(isName)
  const message = fc.record(
    {
      transactionId: name,
      payload: fc.json(),
      traceId: fc.uuid(),
      producerSub: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
      failures: fc.integer({ min: 1, max: 9 }),
    },
    { requiredKeys: ['transactionId', 'payload'] },
  )
  const runs = fc.array(fc.array(message, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 3 })

  it('are JSON that holds what the segments hold, byte for byte', () => {
    fc.assert(
      fc.property(runs, name, (segments, group) => {
        const answer = answerOf(segments, group)
        const text = bytesOf(popAnswer(answer, null))
        const parsed = JSON.parse(text)
        const { id: partitionId } = answer.runs[0]!.partition
        expect(parsed).toMatchObject({ consumerGroup: group, partitionId, leaseId: answer.leaseId })
        expect(parsed.messages).toEqual(
          segments.flatMap((messages) =>
            messages.map(({ transactionId, payload, traceId, producerSub, failures }) =>
              expect.objectContaining({
                transactionId,
                traceId: traceId ?? null,
                producerSub: producerSub ?? null,
                retryCount: failures ?? 0,
                data: JSON.parse(payload),
                partitionId,
              }),
            ),
          ),
        )
        for (const { payload } of segments.flat()) expect(text).toContain(`"data":${payload},`)
      }),
    )
  })

  it('grow when ids are longer once they are escaped', () => {
    const transactionId = '"'.repeat(255)
    const messages = Array.from({ length: 50 }, () => ({ transactionId, payload: '1' }))
    const parsed = JSON.parse(bytesOf(popAnswer(answerOf([messages], 'g'), null)))
    expect(parsed.messages).toHaveLength(50)
    for (const message of parsed.messages) expect(message).toMatchObject({ transactionId, data: 1 })
  })

  it('count on in the ids when their last six digits are full', () => {
    const messages = ['a', 'b', 'c'].map((transactionId) => ({ transactionId, payload: '1' }))
    const run = { ...onePop().runs[0]!, segment: segmentOf(messages, '01a20868-a490-7000-bc72-2f8f4dfffffe') }
    const answer = { ...onePop(), runs: [{ ...run, indices: [0, 1, 2] }] }
    expect(JSON.parse(bytesOf(popAnswer(answer, null))).messages.map(({ id }: { id: string }) => id)).toEqual([
      '01a20868-a490-7000-bc72-2f8f4dfffffe',
      '01a20868-a490-7000-bc72-2f8f4dffffff',
      '01a20868-a490-7000-bc72-2f8f4e000000',
    ])
  })
})

/** As it leaves: each character is a byte. */
function bytesOf(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString()
}

function answerOf(segments: readonly (readonly (HandMade & { failures?: number })[])[], group: string): PopAnswer {
  const { partition } = onePop().runs[0]!
  const runs = segments.map((messages) => {
    const failures = messages.flatMap(({ failures }, index): [number, number][] =>
      failures === undefined ? [] : [[index, failures]],
    )
    const retryCounts = failures.length === 0 ? null : new Map(failures)
    return { partition, segment: segmentOf(messages), indices: messages.map((_, index) => index), retryCounts }
  })
  return { ...onePop(), consumerGroup: group, runs }
}

describe('timestamps', () => {
  it('become UTC with microseconds', () => {
    const cases: [string, string | null][] = [
      ['2026-11-23', '2026-11-23T00:00:00.000000Z'],
      ['2026-11-23T12:38', '2026-11-23T12:38:00.000000Z'],
      ['2026-11-23T12:38:30Z', '2026-11-23T12:38:30.000000Z'],
      ['2026-11-23t12:38:30.5z', '2026-11-23T12:38:30.500000Z'],
      ['2026-11-23 12:38:30,123456789', '2026-11-23T12:38:30.123456Z'],
      ['2026-11-23T12:38:30+05:30', '2026-11-23T07:08:30.000000Z'],
      // A plus that nobody escaped in a query.
      ['2026-11-23T12:38:30 0530', '2026-11-23T07:08:30.000000Z'],
      ['2026-11-23T12:38:30-08', '2026-11-23T20:38:30.000000Z'],
      ['2024-02-29', '2024-02-29T00:00:00.000000Z'],
      ['2026-02-29', null],
      ['2026-13-01', null],
      ['2026-11-23T24:00:00Z', null],
      ['2026-11-23T12:60:00Z', null],
      ['2026-11-23T12:38:30+25:00', null],
      ['0000-00-00', null],
      ['23.11.2026', null],
      ['1764000000', null],
      // What Go sends for a time that was never set.
      ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000000Z'],
      ['0099-12-31T23:59:59.5-01:00', '0100-01-01T00:59:59.500000Z'],
      ['0004-02-29', '0004-02-29T00:00:00.000000Z'],
      ['0001-01-01T00:00:00+01:00', null],
      ['0000-12-31', null],
      ['0099-02-29', null],
      ['', null],
    ]
    for (const [text, expected] of cases) expect([text, parseTimestamp(text, 'start')]).toEqual([text, expected])
    expect(parseTimestamp('2026-11-23', 'end')).toBe('2026-11-23T23:59:59.999999Z')
  })
})

describe('paths', () => {
  it('split into path and query, and a decoded segment is never decoded again', () => {
    expect(splitTarget('/a/b?x=1?y')).toEqual({ path: '/a/b', search: 'x=1?y' })
    expect(splitTarget('http://h:1/a?x')).toEqual({ path: '/a', search: 'x' })
    expect(splitTarget('http://h')).toEqual({ path: '/', search: '' })
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        expect(decodeSegment(encodeURIComponent(name))).toBe(name)
      }),
    )
  })
})
