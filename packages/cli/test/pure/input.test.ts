/** What people write: times, durations, names, JSON, lines. */
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { CliError } from '../../src/command/failure.ts'
import { nearest } from '../../src/command/nearest.ts'
import { parseDocuments } from '../../src/commands/apply.ts'
import { parseTransaction } from '../../src/commands/transaction.ts'
import { durationMs, parseSeconds } from '../../src/input/durations.ts'
import { losslessJson, scalarText } from '../../src/input/json.ts'
import { linesOf } from '../../src/input/lines.ts'
import { checkedName } from '../../src/input/names.ts'
import { seekTarget } from '../../src/input/seek.ts'
import { parseTime } from '../../src/input/times.ts'
import { pushLine } from '../../src/messages/push-line.ts'

const NOW = Date.parse('2026-11-23T12:00:00.000Z')

test.each([
  ['2026-11-23T13:00:00+01:00', '2026-11-23T12:00:00.000Z'],
  ['2026-11-23T12:00:00.5Z', '2026-11-23T12:00:00.500Z'],
  ['2026-11-23', '2026-11-23T00:00:00.000Z'],
  ['2026-11-23 10:30', '2026-11-23T10:30:00.000Z'],
  ['1795435200', '2026-11-23T12:00:00.000Z'],
  ['1795435200123', '2026-11-23T12:00:00.123Z'],
  ['now', '2026-11-23T12:00:00.000Z'],
  ['15m', '2026-11-23T11:45:00.000Z'],
  ['15m ago', '2026-11-23T11:45:00.000Z'],
  ['1d', '2026-11-22T12:00:00.000Z'],
])('the time %s', (text, expected) => {
  const point = parseTime(text, NOW)
  expect(point.kind === 'at' && point.at.toISOString()).toBe(expected)
})

test('words of time, and what is none', () => {
  expect(['earliest', 'Start', 'beginning'].map((text) => parseTime(text, NOW).kind)).toEqual(
    Array(3).fill('beginning'),
  )
  expect(parseTime('latest', NOW)).toEqual({ kind: 'end' })
  for (const text of ['', 'yesterday', '2026-02-30', '2026-13-01', '25:00', '15x', '99999999999999999999']) {
    expect(() => parseTime(text, NOW), text).toThrow(CliError)
  }
  expect(seekTarget('beginning', NOW).target).toEqual({ timestamp: new Date(0) })
  expect(seekTarget('end', NOW).target).toEqual({ toEnd: true })
})

test('durations', () => {
  expect(['500ms', '30s', '5m', '2h', '1d', '1w', '1h30m', '0', '1.5s'].map(durationMs)).toEqual([
    500, 30_000, 300_000, 7_200_000, 86_400_000, 604_800_000, 5_400_000, 0, 1_500,
  ])
  expect(['', 's', '5', '5 m', '-5s', '5y'].map(durationMs)).toEqual(Array(6).fill(null))
  expect([parseSeconds('90'), parseSeconds('2m')]).toEqual([90, 120])
})

test('names with control characters, lone surrogates, or of 256 characters are none', () => {
  for (const name of ['', 'a\u0000', 'a\u0085', '\ud800', 'x'.repeat(256)])
    expect(() => checkedName('queue', name)).toThrow(CliError)
  expect(checkedName('queue', '😀'.repeat(255))).toHaveLength(510)
})

test('numbers keep the way they were written', () => {
  const text = '{"a":9007199254740993,"b":1.10,"c":[1e3,-0.0],"d":"1.10","e":7}'
  expect(losslessJson.stringify(losslessJson.parse(text))).toBe(text)
  const { a, e } = losslessJson.parse(text) as { a: unknown; e: unknown }
  expect([scalarText(a), scalarText(e), scalarText(true), scalarText({}), scalarText(null)]).toEqual([
    '9007199254740993',
    '7',
    'true',
    null,
    null,
  ])
})

describe('lines', () => {
  const read = async (...chunks: (string | Buffer)[]) => {
    const found: [number, string][] = []
    const stream = Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
    for await (const line of linesOf(stream, new AbortController().signal)) found.push([line.number, line.text])
    return found
  }
  test('are numbered, blank ones left out, wherever the chunks end', async () => {
    const euro = Buffer.from('"€"')
    expect(await read('1\n\n2', '2\r\n  \n', euro.subarray(0, 2), euro.subarray(2))).toEqual([
      [1, '1'],
      [3, '22'],
      [5, '"€"'],
    ])
    expect(await read('')).toEqual([])
  })
  test('that are no UTF-8 are named', async () => {
    await expect(read('1\n', Buffer.from([0xff, 0x0a]))).rejects.toThrow('line 2 is not UTF-8')
  })
})

test('a wrapped line needs data, and strings where strings belong', () => {
  const shape = { partition: 'p', partitionKey: undefined, wrapped: true, traceId: undefined, transactionId: 'first' }
  const line = (text: string) => ({ number: 3, text, bytes: 0 })
  expect(pushLine(line('{"data":1,"partition":"q","transactionId":"own"}'), shape, true)).toEqual({
    line: 3,
    partition: 'q',
    item: { data: 1, transactionId: 'first' },
  })
  for (const text of ['1', '[]', '{"payload":1}', '{"data":1,"partition":2}']) {
    expect(() => pushLine(line(text), shape, false), text).toThrow('line 3')
  }
})

test('documents are checked before anything is done', () => {
  const good =
    'kind: Queue\nname: a\nconfig: {leaseTime: 60}\n---\nkind: ConsumerGroup\nname: g\nqueue: a\nseek-to: end\n'
  expect(parseDocuments(good, NOW)).toMatchObject([
    { kind: 'Queue', name: 'a', config: { leaseTime: 60 } },
    { kind: 'ConsumerGroup', name: 'g', queue: 'a', seekTo: 'end' },
  ])
  const bad = [
    '',
    'a: [',
    'kind: Topic',
    'kind: Queue',
    'kind: Queue\nname: 7',
    'kind: Queue\nname: a\nnmae: b',
    'kind: ConsumerGroup\nname: g\nqueue: q\nseek-to: soon',
  ]
  for (const text of bad) expect(() => parseDocuments(text, NOW), text).toThrow(CliError)
})

test('a transaction document', () => {
  const { operations } = parseTransaction(
    '{"operations":[{"type":"push","queue":"q","payload":1},{"type":"ack","transactionId":"t","partitionId":"p"}],"requiredLeases":["l"]}',
  )
  expect(operations[1]).toMatchObject({ message: { leaseId: 'l' }, status: 'completed' })
  const bad = [
    '[]',
    '{"operations":[]}',
    '{"operations":[{"type":"pop"}]}',
    '{"operations":[{"type":"push"}]}',
    '{"operations":[{"type":"ack","transactionId":"t","partitionId":"p","status":"maybe"}]}',
  ]
  for (const text of bad) expect(() => parseTransaction(text), text).toThrow(CliError)
})

test('the nearest word', () => {
  expect(nearest('--jsn', ['--json', '--url'])).toBe('--json')
  expect(nearest('zebra', ['push', 'pop'])).toBeUndefined()
})
