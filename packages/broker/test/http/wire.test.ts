/** The readers and writers of the wire, without a server. */
import { isName } from '@queen/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeSegment, splitTarget } from '../../src/http/path.ts'
import { parseBatch, scanBatch } from '../../src/http/wire/ack-fields.ts'
import { popAnswer } from '../../src/http/wire/pop-answer.ts'
import { parseTimestamp } from '../../src/http/wire/timestamp.ts'
import { onePop } from './scripted-engine.ts'
import { segmentOf } from './segments.ts'

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
        expect(scanBatch(bytes, itemsMax)).toEqual(parseBatch(bytes, itemsMax))
      }),
    )
  })

  it('keep nothing of what lies beyond the limit', () => {
    const bytes = Buffer.from(`{"acknowledgments":[${'{},'.repeat(100_000)}{}]}`)
    const batch = scanBatch(bytes, 10)
    expect([batch.count, batch.elements!.length]).toEqual([100_001, 10])
  })
})

describe('pop answers', () => {
  it('are JSON that holds what the segments hold, byte for byte', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(isName)
    const message = fc.record({ transactionId: name, payload: fc.json() })
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), name, (messages, group) => {
        const run = onePop().runs[0]!
        const indices = messages.map((_, index) => index)
        const answer = { ...onePop(), consumerGroup: group, runs: [{ ...run, segment: segmentOf(messages), indices }] }
        const text = Buffer.from(popAnswer(answer, null), 'latin1').toString()
        const parsed = JSON.parse(text)
        expect(parsed.consumerGroup).toBe(group)
        expect(parsed.messages.map((m: { transactionId: string }) => m.transactionId)).toEqual(
          messages.map((m) => m.transactionId),
        )
        for (const { payload } of messages) expect(text).toContain(`"data":${payload},`)
      }),
    )
  })
})

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
