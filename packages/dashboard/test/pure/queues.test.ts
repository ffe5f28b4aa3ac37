/** What the views of a queue make of numbers and of what is typed, without a browser. */
import type { QueueOpsPoint } from '@queen/client'
import { QUEUE_OPTIONS } from '@queen/protocol'
import { describe, expect, it } from 'vitest'
import { everyBucket } from '../../src/views/queues/ops-buckets.ts'
import { problemOf } from '../../src/views/queues/option-draft.ts'
import { OPTION_NAMES, OPTION_SECTIONS, optionWords } from '../../src/views/queues/option-table.ts'

const MINUTE_MS = 60_000
const AT = Date.UTC(2026, 10, 25, 12, 0)

describe('everyBucket', () => {
  const point = (minute: number) =>
    ({ bucket: new Date(AT + minute * MINUTE_MS).toISOString(), pushMessages: 120 }) as QueueOpsPoint

  it('has a gap where nothing was measured, in the order of time', () => {
    const buckets = everyBucket([point(1), point(3)], AT + 30_000, AT + 4 * MINUTE_MS, MINUTE_MS, AT + 60 * MINUTE_MS)
    expect(buckets.map(({ at, ops }) => [(at - AT) / MINUTE_MS, ops?.pushMessages ?? null])).toEqual([
      [0, null],
      [1, 120],
      [2, null],
      [3, 120],
      [4, null],
    ])
  })

  it('divides the bucket that is being filled by what has passed of it, and says nothing too early', () => {
    const rateAfter = (passedMs: number) => everyBucket([point(0)], AT, AT, MINUTE_MS, AT + passedMs)[0]!.rate(120)
    expect([rateAfter(90_000), rateAfter(30_000), rateAfter(14_000)]).toEqual([2, 4, null])
  })
})

describe('options', () => {
  it('are explained, every one of them once', () => {
    expect([...OPTION_NAMES].sort()).toEqual(Object.keys(QUEUE_OPTIONS).sort())
  })

  it.each([
    ['leaseTime', '', 'A whole number is needed'],
    ['leaseTime', '1.5', 'A whole number is needed'],
    ['leaseTime', '1e3', 'A whole number is needed'],
    ['leaseTime', '-1', 'At least 0'],
    ['leaseTime', '86401', 'At most 86,400'],
    ['leaseTime', '86400', null],
    ['priority', '-1000', null],
    ['retentionEnabled', true, null],
  ] as const)('%s = %j: %s', (name, value, problem) => {
    expect(problemOf(name, value)).toBe(problem)
  })

  it('are told in words', () => {
    const option = (name: string) =>
      OPTION_SECTIONS.flatMap(({ options }) => options).find((each) => each.name === name)!
    expect(optionWords(option('leaseTime'), 90)).toBe('1m 30s')
    expect(optionWords(option('retryDelay'), 2_500)).toBe('2.5 s')
    expect(optionWords(option('maxSize'), 0)).toBe('unlimited')
    expect(optionWords(option('maxSize'), 10_000)).toBe('10,000 messages')
    expect(optionWords(option('maxSize'), 1)).toBe('1 message')
    expect(optionWords(option('deadLetterQueue'), undefined)).toBe('–')
  })
})
