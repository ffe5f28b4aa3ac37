import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import { Refusal } from '../../src/engine/refusal.ts'
import { pushAnswer, pushAnswerInSlices } from '../../src/http/wire/push-answer.ts'
import { parsePushBody, parsePushBodyInSlices } from '../../src/http/wire/push-body.ts'
import { SLICE_BYTES } from '../../src/http/wire/steps.ts'

const limits = { itemsMax: 10, payloadBytesMax: 100 }
const parse = (body: unknown) =>
  parsePushBody(
    Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    limits,
    null,
  )
const one = (item: unknown) => parse({ items: [item] }).items[0]!
/** Comparing the bytes of all items with those of all others takes seconds. */
const withoutSource = (item: PushItem) => ({ ...item, source: null, transactionId: item.transactionId })
const payloadOf = (item: PushItem) => item.source.utf8Slice(item.payloadStart, item.payloadEnd)

function codeOf(body: unknown): string {
  try {
    parse(body)
  } catch (error) {
    if (error instanceof Refusal) return error.code
    throw error
  }
  return 'accepted'
}

describe('the body of a push', () => {
  test('becomes items with defaults for what is left out', () => {
    const { items, bufferMs, bufferMax } = parse({
      items: [
        { queue: 'q', payload: { b: 1, a: [2] } },
        { queue: 'q', partition: null, transactionId: null, traceId: '' },
      ],
    })
    expect([bufferMs, bufferMax]).toEqual([0, 100])
    expect(items).toMatchObject([
      { queue: 'q', partition: 'Default', transactionId: '', traceId: null, producerSub: null, status: null },
      { queue: 'q', partition: 'Default', transactionId: '', traceId: null, status: null },
    ])
    expect(items.map(payloadOf)).toEqual(['{"b":1,"a":[2]}', 'null'])
  })

  test('keeps the exact text of a payload', () => {
    for (const text of [
      '12345678901234567890',
      '1.0',
      '{"b" : 1,\n"a":2, "b":3}',
      '"\\u00e9\\/"',
      '[ ]',
      '-0',
      'null',
      '"é💥"',
    ]) {
      for (const field of ['payload', 'data']) {
        expect(payloadOf(one_(`{"items":[{"queue":"q", "${field}" :  ${text}  }]}`))).toBe(text)
      }
    }
    function one_(text: string): PushItem {
      return parse(text).items[0]!
    }
  })

  test('reads data only when payload is absent; of repeated fields the last wins', () => {
    expect(payloadOf(one({ queue: 'q', data: 1, payload: 2 }))).toBe('2')
    expect(payloadOf(one({ queue: 'q', payload: null, data: 1 }))).toBe('null')
    const text =
      '{"items":[],"bufferMs":5,"items":[{"queue":"x","queue":"q","payload":"\\u0000","payload":2,"partition":3,"partition":"p","traceId":1,"traceId":null}],"bufferMs":7}'
    const { items, bufferMs } = parse(text)
    expect(items).toMatchObject([{ queue: 'q', partition: 'p', traceId: null, status: null }])
    expect([payloadOf(items[0]!), bufferMs]).toEqual(['2', 7])
    expect(codeOf('{"items":[],"items":3}')).toBe('INVALID_BODY')
    expect(parse('{"items":3,"items":[]}').items).toEqual([])
    expect(parse('{"bufferMs":"x","bufferMs":4,"items":[]}').bufferMs).toBe(4)
  })

  test('of two transactionIds only the second counts, however they are written and wherever they stand', () => {
    const long = JSON.stringify('x'.repeat(256))
    const texts = ['"plain"', '"another"', '"esc\\u0061ped"', '"é"', '"\u007f"', '""', 'null', '5', long]
    for (const first of texts) {
      for (const second of texts) {
        for (const more of ['"payload":1', '"data":1', '"x":1']) {
          for (const pair of [
            `${first},${more},"transactionId":${second}`,
            `${first},"transactionId":${second},${more}`,
          ]) {
            const item = parse(`{"items":[{"queue":"q","transactionId":${pair}}]}`).items[0]!
            const alone = parse(`{"items":[{"queue":"q","transactionId":${second},${more}}]}`).items[0]!
            const last = JSON.parse(second) as unknown
            const transactionId = typeof last === 'string' && second !== long ? last : ''
            expect(item).toMatchObject({ transactionId, isNamed: transactionId !== '', failure: alone.failure })
          }
        }
      }
    }
  })

  test('reads names and texts as JSON.parse does, whatever their spelling', () => {
    const spelt = fc
      .tuple(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), fc.boolean())
      .map(([text, escaped]) => ({
        text,
        literal: escaped
          ? `"${[...Array(text.length).keys()].map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`
          : JSON.stringify(text),
      }))
    fc.assert(
      fc.property(fc.array(fc.tuple(spelt, spelt, spelt, fc.boolean()), { minLength: 1, maxLength: 6 }), (rows) => {
        const text = `{"items":[${rows
          .map(
            ([queue, partition, id, escapedKey]) =>
              `{"${escapedKey ? '\\u0071ueue' : 'queue'}":${queue.literal},"partition":${partition.literal},"transactionId":${id.literal},"x":{"queue":1}}`,
          )
          .join(',')}]}`
        const { items } = parse(text)
        expect(items.map((item) => [item.queue, item.partition, item.transactionId])).toEqual(
          rows.map(([queue, partition, id]) => [queue.text, partition.text, id.text]),
        )
      }),
      { numRuns: 500 },
    )
  })

  test('refuses what is no push as a whole', () => {
    expect(codeOf(Buffer.alloc(0))).toBe('BODY_REQUIRED')
    expect(['', '{', '{"items":[}', 'nul', '{"items":[]}x', Buffer.from([0x7b, 0xff])].slice(1).map(codeOf)).toEqual(
      Array(5).fill('INVALID_JSON'),
    )
    expect(
      [
        '[]',
        '3',
        'null',
        '"x"',
        '{}',
        '{"items":null}',
        '{"items":{}}',
        '{"items":"x"}',
        '{"items":[1]}',
        '{"items":[{"queue":"q"},[]]}',
        '{"items":[null]}',
      ].map(codeOf),
    ).toEqual(Array(11).fill('INVALID_BODY'))
    // A syntax error behind it is found before anything is said about the shape.
    expect(codeOf('{"items":[1],}')).toBe('INVALID_JSON')
    expect(codeOf({ items: Array.from({ length: 10 }, () => ({ queue: 'q' })) })).toBe('accepted')
    expect(codeOf({ items: Array.from({ length: 11 }, () => ({ queue: 'q' })) })).toBe('TOO_MANY_ITEMS')
    expect(codeOf({ items: [...Array.from({ length: 11 }, () => ({ queue: 'q' })), 5] })).toBe('INVALID_BODY')
    expect(['x', 1.5, {}, [], true].map((bufferMs) => codeOf({ items: [], bufferMs }))).toEqual(
      Array(5).fill('INVALID_BODY'),
    )
    expect(codeOf({ items: [], bufferMax: 'x' })).toBe('INVALID_BODY')
  })

  test('clamps bufferMs and bufferMax', () => {
    const read = (bufferMs: unknown, bufferMax: unknown) => {
      const body = parse({ items: [], bufferMs, bufferMax })
      return [body.bufferMs, body.bufferMax]
    }
    expect([read(-5, -5), read(1e9, 1e9), read(null, null), read(60_000, 1), read(-1e300, 1e300)]).toEqual([
      [0, 1],
      [60_000, 10_000],
      [0, 100],
      [60_000, 1],
      [0, 10_000],
    ])
  })

  test('G8 fails a bad item alone, with its code', () => {
    const long = 'x'.repeat(256)
    const wide = '💥'.repeat(255)
    const bad: [unknown, string][] = [
      [{}, 'INVALID_NAME'],
      [{ queue: null }, 'INVALID_NAME'],
      [{ queue: '' }, 'INVALID_NAME'],
      [{ queue: 5 }, 'INVALID_NAME'],
      [{ queue: ['q'] }, 'INVALID_NAME'],
      [{ queue: long }, 'INVALID_NAME'],
      [{ queue: 'a\u0000' }, 'INVALID_NAME'],
      [{ queue: 'a\u001f' }, 'INVALID_NAME'],
      [{ queue: 'a\u007f' }, 'INVALID_NAME'],
      [{ queue: 'a\u0085' }, 'INVALID_NAME'],
      [{ queue: '\ud800' }, 'INVALID_NAME'],
      [{ queue: `${wide}x` }, 'INVALID_NAME'],
      [{ queue: 'q', partition: '' }, 'INVALID_NAME'],
      [{ queue: 'q', partition: 5 }, 'INVALID_NAME'],
      [{ queue: 'q', partition: long }, 'INVALID_NAME'],
      [{ queue: 'q', transactionId: 5 }, 'INVALID_NAME'],
      [{ queue: 'q', transactionId: long }, 'INVALID_NAME'],
      [{ queue: 'q', transactionId: 'a\nb' }, 'INVALID_NAME'],
      [{ queue: 'q', traceId: 'x' }, 'INVALID_TRACE_ID'],
      [{ queue: 'q', traceId: 5 }, 'INVALID_TRACE_ID'],
      [{ queue: 'q', traceId: '01a20857-5575-7000-b149-144250048d6' }, 'INVALID_TRACE_ID'],
      [{ queue: 'q', payload: 'a\u0000b' }, 'INVALID_PAYLOAD'],
      [{ queue: 'q', payload: { '\u0000': 1 } }, 'INVALID_PAYLOAD'],
      [{ queue: 'q', data: ['\u0000'] }, 'INVALID_PAYLOAD'],
      [{ queue: 'q', payload: 'x'.repeat(99) }, 'PAYLOAD_TOO_LARGE'],
    ]
    for (const [item, code] of bad) {
      const { items } = parse({ items: [{ queue: 'before' }, item, { queue: 'behind', payload: 7 }] })
      expect(
        items.map(({ status, failure }) => [status, failure?.code ?? null]),
        JSON.stringify(item),
      ).toEqual([
        [null, null],
        ['failed', code],
        [null, null],
      ])
      expect(payloadOf(items[2]!)).toBe('7')
    }
  })

  test('reads and answers in slices what it reads and answers in one go', async () => {
    const wide = { itemsMax: 2_000, payloadBytesMax: 100 }
    const rows = Array.from({ length: 1_100 }, (_, n) => ({
      queue: n === 700 ? '' : 'q',
      transactionId: `t${n}`,
      payload: n,
    }))
    const body = Buffer.from(JSON.stringify({ items: rows, bufferMs: 5 }))
    let turns = 0
    const counting = setImmediate(function count() {
      turns++
      next = setImmediate(count)
    })
    let next = counting
    const sliced = await parsePushBodyInSlices(body, wide, null)
    const answer = await pushAnswerInSlices(sliced.items)
    clearImmediate(next)
    const whole = parsePushBody(body, wide, null)
    expect(sliced.items.map(withoutSource)).toEqual(whole.items.map(withoutSource))
    expect(answer).toBe(pushAnswer(whole.items))
    expect(turns).toBeGreaterThanOrEqual(5)
    const broken = Buffer.concat([body.subarray(0, -1), Buffer.from(',')])
    await expect(parsePushBodyInSlices(broken, wide, null)).rejects.toMatchObject({ code: 'INVALID_JSON' })
  })

  test('reads the same wherever a slice ends, within an item and its values too', () => {
    const outcome = (body: string, sliceBytes?: number): unknown => {
      try {
        const { items, ...rest } = parsePushBody(Buffer.from(body), limits, 'p', sliceBytes)
        return { ...rest, items: items.map((item) => ({ ...item, transactionId: item.transactionId })) }
      } catch (error) {
        return [(error as Refusal).code, (error as Refusal).message]
      }
    }
    const nested = '{"a":[1,{"b":[]},"x\\u0000"],"c":-1.5e3}'
    const names =
      '"queue":"q","partition":"p\\u0061","transactionId":"t","traceId":"01A20857-5575-7000-B149-144250048D64"'
    for (const body of [
      `{"ignored":${nested},"items":[{"x":${nested},${names},"payload":{"n":[1,[2]]},"y":${nested}},{"queue":"é"}],"bufferMs":5,"bufferMax":7}`,
      `{"items":[{"data":${nested},"queue":"q"},{"queue":"q","payload":${nested},"payload":[[1]]},{"queue":"q","data":[3]}]}`,
      `{"items":[{"queue":${nested},"payload":1},{"queue":"q","partition":null,"traceId":[${nested}]},{"queue":"q","partition":[[]]}]}`,
      `{"bufferMs":${nested},"items":[1,[2,[3]],{"queue":"q"}],"items":{"a":[]}}`,
      `{"items":[${'{"queue":"q","payload":[1]},'.repeat(limits.itemsMax)}{"queue":[2]}]}`,
      `{"items":[{"transactionId":"t","queue":"q","transactionId":"\\u0061b","payload":${nested}},{"transactionId":"","transactionId":"t","data":1}]}`,
      `[${nested},${nested}]`,
      '{"items":[{"queue":"q","payload":[1,{"a":]}]}',
      '{"items":[{"queue":"q","payload":[1',
    ]) {
      const whole = outcome(body)
      for (let sliceBytes = 1; sliceBytes <= body.length; sliceBytes++) {
        expect(outcome(body, sliceBytes), `slices of ${sliceBytes} bytes of ${body}`).toEqual(whole)
      }
    }
  })

  test.each([
    ['keys of an item that are ignored', (filler: string) => `{"items":[{"queue":"q",${filler}"payload":1}]}`],
    ['a payload', (filler: string) => `{"items":[{"queue":"q","payload":{${filler}"n":1}}]}`],
    ['a long text', () => `{"items":[{"queue":"q","payload":"${'\\n\\u00e9é'.repeat(500_000)}"}]}`],
    ['keys of the body', (filler: string) => `{${filler}"items":[{"queue":"q"}]}`],
    ['values that are no items', (filler: string) => `{"items":[{${filler}"n":1},${'0,'.repeat(500_000)}0]}`],
    ['an array instead of a body', (filler: string) => `[${filler.replaceAll('"a":', '')}1]`],
  ])('G9 others have their turns while %s are read', async (_, bodyOf) => {
    const body = Buffer.from(bodyOf('"a":1,'.repeat(500_000)))
    let turns = 0
    let next = setImmediate(function count() {
      turns++
      next = setImmediate(count)
    })
    await parsePushBodyInSlices(body, limits, null).catch(() => {})
    clearImmediate(next)
    expect(turns).toBeGreaterThanOrEqual(Math.floor(body.length / SLICE_BYTES) - 1)
  })

  test('checks a long text to its end', async () => {
    const read = (end: string) =>
      parsePushBodyInSlices(
        Buffer.from(`{"items":[{"queue":"q","payload":"${'\\n\\"é'.repeat(800_000)}${end}"}]}`),
        limits,
        null,
      )
    expect((await read('\\\\')).items).toMatchObject([{ status: 'failed', failure: { code: 'PAYLOAD_TOO_LARGE' } }])
    expect((await read('\\u0000')).items).toMatchObject([{ status: 'failed', failure: { code: 'INVALID_PAYLOAD' } }])
    for (const end of ['\u0001', '\\x', '\\']) await expect(read(end)).rejects.toMatchObject({ code: 'INVALID_JSON' })
  })

  test('accepts the limits themselves, and anything in fields it ignores', () => {
    const good = [
      { queue: 'x'.repeat(255), partition: '💥'.repeat(255), transactionId: ' ' },
      { queue: 'q', traceId: '01A20857-5575-7000-B149-144250048D64' },
      { queue: 'q', payload: 'x'.repeat(98) },
      { queue: 'q', payload: 1, data: '\u0000', producerSub: 'somebody', namespace: '\u0000', task: 5 },
    ]
    const { items } = parse({ items: good, ignored: ['\u0000'] })
    expect(items.map(({ status }) => status)).toEqual([null, null, null, null])
    expect(items[1]!.traceId).toBe('01a20857-5575-7000-b149-144250048d64')
    expect(items[3]!.producerSub).toBeNull()
    expect(
      parsePushBody(Buffer.from('{"items":[{"queue":"q","producerSub":"x"}]}'), limits, 'token').items[0]!.producerSub,
    ).toBe('token')
  })

  test('shows names of failed items as they were sent, or null', () => {
    expect(
      JSON.parse(
        pushAnswer(parse({ items: [{ queue: '', partition: 'p', transactionId: 't' }, { partition: 4 }] }).items),
      ),
    ).toMatchObject([
      {
        queue: '',
        queueName: '',
        partition: 'p',
        transactionId: 't',
        transaction_id: 't',
        status: 'failed',
        code: 'INVALID_NAME',
      },
      { queue: null, queueName: null, partition: null, status: 'failed' },
    ])
  })

  test('G9 does not decode or show names that are too long to be names', () => {
    const long = 'é'.repeat(256)
    const vast = '\u0001'.repeat(100_000)
    const items = [long, vast].flatMap((name) => [
      { queue: name, partition: 'p', transactionId: 't' },
      { queue: 'q', partition: name, transactionId: 't' },
      { queue: 'q', partition: 'p', transactionId: name },
    ])
    const shown = parse({ items }).items.map((item) => [
      item.failure?.code,
      item.queue,
      item.partition,
      item.transactionId,
    ])
    const once = [
      ['INVALID_NAME', null, 'p', 't'],
      ['INVALID_NAME', 'q', null, 't'],
      ['INVALID_NAME', 'q', 'p', ''],
    ]
    expect(shown).toEqual([...once, ...once])
    const other = parse({ items: [{ queue: 'q', traceId: vast, payload: vast.slice(0, 10) }] }).items[0]!
    expect([other.failure?.code, other.traceId]).toEqual(['INVALID_TRACE_ID', null])
  })
})
