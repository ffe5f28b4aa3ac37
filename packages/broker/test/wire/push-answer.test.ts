import { isUtf8 } from 'node:buffer'
import { PushAnswerSchema } from '@queen/protocol'
import fc from 'fast-check'
import { Compile } from 'typebox/compile'
import { describe, expect, test } from 'vitest'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import type { PushStatus } from '../../src/engine/types.ts'
import { pushAnswer } from '../../src/http/wire/push-answer.ts'
import { parsePushBody } from '../../src/http/wire/push-body.ts'
import { stampedAnswer } from '../../src/http/wire/stamped-answer.ts'

const limits = { itemsMax: 10, payloadBytesMax: 100 }
const parse = (body: unknown) =>
  parsePushBody(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), limits, null)

describe('the answer of a push', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('orders', '"', '\\', '\ud800', 'é', '\u2028'))
  const uuid = fc.constantFrom('01a20857-5575-7000-b149-144250048d64', 'a25f33e1-bd26-4adb-81ef-0503b3d0d215')
  const item = fc.record({
    queue: fc.option(text),
    partition: fc.option(text),
    transactionId: text,
    traceId: fc.option(uuid),
    status: fc.constantFrom('queued', 'duplicate', 'buffered', 'failed'),
    messageId: uuid,
    partitionId: uuid,
    error: text,
  })
  const idBase = '01a20857-5575-7000-b149-144250048d64'

  test('equals what JSON.stringify makes of the results', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 8 }), (rows) => {
        const items = rows.map((row) => {
          const stored = row.status === 'queued' || row.status === 'duplicate'
          return {
            ...row,
            messageId: stored ? row.messageId : null,
            idBase: stored ? row.messageId : null,
            idIndex: 0,
            // It lies in no request.
            idStart: -1,
            partitionId: stored ? row.partitionId : null,
            failure: row.status === 'failed' ? { code: 'INTERNAL', error: row.error, outcomeUnknown: false } : null,
          } as unknown as PushItem
        })
        const expected = items.map((row, index) => ({
          index,
          status: row.status,
          queueName: row.queue,
          queue: row.queue,
          partition: row.partition,
          ...(row.transactionId === '' ? {} : { transaction_id: row.transactionId, transactionId: row.transactionId }),
          message_id: row.messageId,
          partition_id: row.partitionId,
          trace_id: row.status === 'queued' || row.status === 'buffered' ? row.traceId : null,
          ...(row.status === 'failed' ? { error: row.failure!.error, code: row.failure!.code } : {}),
        }))
        const answer = pushAnswer(items)
        // Sent as latin1: each character is one byte of UTF-8.
        expect(answer).toMatch(/^[ -\u00ff]*$/)
        const sent = Buffer.from(answer, 'latin1')
        expect(isUtf8(sent)).toBe(true)
        expect(JSON.stringify(JSON.parse(sent.toString()))).toBe(JSON.stringify(expected))
      }),
      { numRuns: 1_000 },
    )
  })

  test('says of each message where it lies in which segment and which id it was sent with, whatever its neighbours became', () => {
    const bases = [idBase, '01a20857-5575-7000-b149-0000000fffff', '01a20857-5575-7000-b149-7fffffffffd0']
    const row = fc.record({
      id: fc.constantFrom('"t"', '" ~}"', '"\\u0061"', '"\\""', '""', 'null'),
      status: fc.constantFrom<PushStatus[]>('queued', 'queued', 'queued', 'duplicate', 'buffered', 'failed'),
      base: fc.constantFrom(...bases, bases[0]!, bases[0]!),
      gap: fc.constantFrom(0, 0, 0, 1, 20, 5_000),
    })
    const at = (base: string, index: number) =>
      base.slice(0, 24) + (BigInt(`0x${base.slice(24)}`) + BigInt(index)).toString(16).padStart(12, '0')
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 10, size: 'max' }), (rows) => {
        const sent = rows.map(({ id }) => `{"queue":"q","transactionId":${id},"payload":1}`)
        const { items } = parse(`{"items":[${sent.join(',')}]}`)
        const next = new Map<string, number>()
        const expected = rows.map(({ base, gap, id, status }, index) => {
          const item = items[index]!
          if (status === 'failed') item.fail('INTERNAL', 'Internal error')
          else item.status = status
          const transactionId = (JSON.parse(id) as string | null) || undefined
          if (status !== 'queued' && status !== 'duplicate') return { transactionId, message_id: null }
          item.idBase = base
          item.idIndex = (next.get(base) ?? 0) + gap
          next.set(base, item.idIndex + 1)
          return { transactionId, message_id: at(base, item.idIndex) }
        })
        const shown = JSON.parse(pushAnswer(items)) as { transactionId?: string; message_id: string | null }[]
        expect(shown.map(({ transactionId, message_id }) => ({ transactionId, message_id }))).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  test('is the same as bytes where all results look alike, however many, and wherever their ids count over', () => {
    const usual = fc.record({
      count: fc.integer({ min: 8, max: 1_200 }),
      id: fc.string({ unit: fc.constantFrom('a', '0', '-', ' ', '~'), minLength: 1, maxLength: 40, size: 'max' }),
      queue: fc.constantFrom('orders', '"', 'é'),
      base: fc.constantFrom(idBase, '01a20857-5575-7000-b149-0000000ffff0', '01a20857-5575-7000-b149-7fff00fffffe'),
      first: fc.constantFrom(0, 1, 30),
      stored: fc.boolean(),
    })
    fc.assert(
      fc.property(usual, ({ count, id, queue, base, first, stored }) => {
        const sent = Array.from({ length: count }, (_, i) => {
          const transactionId = String(i).padStart(4, '0') + id
          return { queue, transactionId, payload: i }
        })
        const body = Buffer.from(JSON.stringify({ items: sent }))
        const { items } = parsePushBody(body, { itemsMax: count, payloadBytesMax: 100 }, null)
        items.forEach((item, i) => {
          if (stored) Object.assign(item, { status: 'queued', idBase: base, idIndex: first + i, partitionId: idBase })
          else item.status = 'buffered'
        })
        const bytes = stampedAnswer(items)
        if (queue === 'é') expect(bytes).toBeNull()
        else expect(bytes!.latin1Slice()).toBe(pushAnswer(items))
      }),
    )
  })

  test.each([
    ['another status', { status: 'duplicate' }],
    ['another segment', { idBase: '01a20857-5575-7000-b149-0000000ffff0' }],
    ['another partition', { partition: 'p', partitionId: '01a20857-5575-7000-b149-0000000ffff0' }],
    ['a trace', { traceId: idBase }],
    ['an id that lies elsewhere', { idStart: -1 }],
    ['a longer id', { idEnd: 200 }],
  ])('is joined from strings where one result has %s', (_, differs) => {
    const { items } = parsePushBody(
      Buffer.from(JSON.stringify({ items: Array.from({ length: 20 }, () => ({ queue: 'q', transactionId: 'a' })) })),
      { itemsMax: 20, payloadBytesMax: 100 },
      null,
    )
    for (const [idIndex, item] of items.entries())
      Object.assign(item, { status: 'queued', idBase, idIndex, partitionId: idBase })
    // Without a payload an item points at none of the body's bytes.
    expect(stampedAnswer(items)).toBeNull()
    for (const item of items) Object.assign(item, { idStart: 0, idEnd: 1 })
    expect(stampedAnswer(items)).not.toBeNull()
    Object.assign(items[7]!, differs)
    expect(stampedAnswer(items)).toBeNull()
  })

  test('has the shape the schema promises', () => {
    const validator = Compile(PushAnswerSchema)
    const items = parse({
      items: [
        { queue: 'q', transactionId: 'a' },
        { queue: 'q', transactionId: 'b' },
        { queue: 'q', transactionId: 'c' },
        { queue: '' },
      ],
    }).items
    Object.assign(items[0]!, {
      status: 'queued',
      idBase,
      partitionId: 'a25f33e1-bd26-4adb-81ef-0503b3d0d215',
    })
    Object.assign(items[1]!, {
      status: 'duplicate',
      idBase,
      partitionId: 'a25f33e1-bd26-4adb-81ef-0503b3d0d215',
    })
    Object.assign(items[2]!, { status: 'buffered' })
    const answer: unknown = JSON.parse(pushAnswer(items))
    expect([...validator.Errors(answer)]).toEqual([])
  })
})
