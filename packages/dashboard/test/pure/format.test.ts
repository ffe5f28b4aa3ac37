/** Numbers, times and tables as people read them; unknown is never 0. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type StatusPoint, withTrueRates } from '../../src/api/bucket-rates.ts'
import { latestValue } from '../../src/charts/latest-values.ts'
import { markLabel, timeMarks } from '../../src/charts/time-axis.ts'
import { stepOf } from '../../src/charts/value-axis.ts'
import { sortRows, type TableColumn } from '../../src/components/table-column.ts'
import { fixedRange, parseRange } from '../../src/components/time-range.ts'
import { bytes, compact, count, percent, plural, precise, rate, UNKNOWN } from '../../src/format/numbers.ts'
import { dateTime, duration, exactTime, lagText, relative, seconds } from '../../src/format/times.ts'
import { bannerText } from '../../src/maintenance/banner-text.ts'
import { drainEndText } from '../../src/maintenance/drain-end.ts'
import { overQueues } from '../../src/views/analytics/figures.ts'

describe('numbers', () => {
  it('are grouped, rounded and carry their unit', () => {
    expect([count(0), count(152847), compact(9_999), compact(152_847)]).toEqual(['0', '152,847', '9,999', '153K'])
    expect([precise(0.123), precise(12.34), precise(1234.5), rate(48.57)]).toEqual(['0.12', '12.3', '1,235', '48.6/s'])
    expect([bytes(0), bytes(1023), bytes(1536), bytes(10737418240)]).toEqual(['0 B', '1,023 B', '1.5 KiB', '10 GiB'])
    expect([plural(1, 'queue'), plural(2_000, 'queue'), percent(12.5)]).toEqual(['1 queue', '2,000 queues', '12.5 %'])
    expect([plural(0, 'queue'), plural(null, 'queue')]).toEqual(['0 queues', '– queues'])
  })

  it('that are not known are a dash', () => {
    for (const format of [count, compact, precise, rate, bytes, percent, duration, seconds]) {
      for (const value of [null, undefined, Number.NaN, Number.POSITIVE_INFINITY]) expect(format(value)).toBe(UNKNOWN)
    }
    for (const value of [null, undefined, '', 'no time']) {
      expect([dateTime(value), exactTime(value), relative(value, 0)]).toEqual([UNKNOWN, UNKNOWN, UNKNOWN])
    }
  })
})

describe('the banner', () => {
  it('counts one message as one, and says what it does not know', () => {
    const texts = (bufferedMessages: number | null) =>
      (['entering', 'safe', 'open', 'draining', 'outage'] as const).map(
        (stage) => bannerText({ stage, bufferedMessages, reason: 'upgrade', etaSeconds: 90 })!.text,
      )
    expect(texts(1)).toEqual([
      '1 message buffered. Waiting for writes that began before.',
      '1 message buffered · upgrade',
      '1 message buffered.',
      '1 message left, about 1m 30s.',
      '1 message waits on disk; it and all new ones are stored by themselves when it is back.',
    ])
    expect(texts(152_847).at(-1)).toBe(
      '152,847 messages wait on disk; they and all new ones are stored by themselves when it is back.',
    )
    expect(texts(null)[2]).toBe('– messages buffered.')
    expect(bannerText({ stage: 'normal', bufferedMessages: 0, reason: null, etaSeconds: null })).toBeNull()
  })

  it('and every other place of the page takes the noun of a count from plural()', () => {
    const root = fileURLToPath(new URL('../../src', import.meta.url))
    const nouns = '(messages|records|pushes|instances|partitions|queues|groups|steps|dead letters|files)'
    // A count, the end of its braces and perhaps of its element, and a noun.
    const counted = new RegExp(`\\b(count|compact)\\((?:[^()]|\\([^()]*\\))*\\) ?\\}\\}?(<[^>]*>)* ${nouns}\\b`)
    expect('{{ count(a.of(b)) }}</b> messages').toMatch(counted)
    const found = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(vue|ts)$/.test(name))
      .filter((name) => counted.test(readFileSync(join(root, name), 'utf8')))
    expect(found).toEqual([])
  })
})

describe('lag', () => {
  it('is none when nothing is unfinished, and a dash when it is not known', () => {
    expect([lagText(null, 0), lagText(0, 0), lagText(0, 1), lagText(90, 2)]).toEqual(['none', 'none', '0 s', '1m 30s'])
    expect([lagText(null, 3), lagText(null, null), lagText(undefined, undefined)]).toEqual([UNKNOWN, UNKNOWN, UNKNOWN])
  })
})

describe('times', () => {
  it('have two units at most', () => {
    const [S, M, H, D] = [1_000, 60_000, 3_600_000, 86_400_000]
    expect([0, 0.4, 340, 12_500, 59_999].map(duration)).toEqual(['0 s', '0.4 ms', '340 ms', '12.5 s', '60 s'])
    expect([2 * M + 5 * S, 3 * H, 3 * D + 4 * H, 400 * D].map(duration)).toEqual(['2m 5s', '3h', '3d 4h', '400d'])
    expect([relative(10_000, 10_400), relative(0, 65_000), relative(70_000, 0)]).toEqual([
      'just now',
      '1m 5s ago',
      'in 1m 10s',
    ])
  })

  it('of a range survive the address; what is not understood is the last hour', () => {
    const range = { from: new Date('2026-11-23T12:00:00Z'), to: new Date('2026-11-23T13:30:00Z') }
    expect(parseRange(fixedRange(range))).toEqual(range)
    const hour = { from: new Date(0), to: new Date(3_600_000) }
    for (const value of ['1h', '', 'x..y', '2026-01-02..2026-01-01']) expect(parseRange(value, 3_600_000)).toEqual(hour)
  })
})

describe('axes', () => {
  it('have few marks at round places', () => {
    const noon = new Date(2026, 10, 23, 12, 0).getTime()
    const marks = timeMarks(noon + 90_000, noon + 3_600_000, 6)
    expect(marks.map((at) => markLabel(at, 3_600_000))).toEqual(['12:10', '12:20', '12:30', '12:40', '12:50', '13:00'])
    for (const days of [0.01, 1, 9, 40, 400, 4_000]) {
      const found = timeMarks(noon, noon + days * 86_400_000, 7)
      expect([days, found.length > 0 && found.length <= 8]).toEqual([days, true])
    }
    expect([stepOf('bytes', 286 * 1024 * 1024), stepOf('duration', 400_000)]).toEqual([100 * 1024 * 1024, 120_000])
    expect([stepOf('bytes', 0), stepOf('number', 5)]).toEqual([undefined, undefined])
  })
})

describe('tables', () => {
  it('sort text as people do, numbers by size and unknown last, whichever way', () => {
    type Row = { name: string; lag: number | null }
    const rows: Row[] = [
      { name: 'q10', lag: null },
      { name: 'q2', lag: 100 },
      { name: 'q1', lag: 9 },
    ]
    const columns: TableColumn<Row>[] = [
      { key: 'name', label: 'Name', value: ({ name }) => name },
      { key: 'lag', label: 'Lag', value: ({ lag }) => lag },
    ]
    const sorted = (key: string, descending: boolean): string[] =>
      sortRows(rows, columns, { key, descending }).map(({ name }) => name)
    expect(sorted('name', false)).toEqual(['q1', 'q2', 'q10'])
    expect(sorted('lag', false)).toEqual(['q1', 'q2', 'q10'])
    expect(sorted('lag', true)).toEqual(['q2', 'q1', 'q10'])
    expect(sortRows(rows, columns, null)).toBe(rows)
  })
})

describe('rates', () => {
  it('of the bucket that is being filled are those of the time that has passed, and unknown in its first minute', () => {
    const point = { timestamp: '2026-11-23T12:00:00Z', ingested: 900, ingestedPerSecond: 1, popPerSecond: null }
    const at = (minutes: number, bucketMinutes: number): (number | null)[] => {
      const nowMs = Date.parse(point.timestamp) + minutes * 60_000
      const rated = withTrueRates(point as unknown as StatusPoint, bucketMinutes, nowMs)
      return [rated.ingested, rated.ingestedPerSecond, rated.popPerSecond]
    }
    expect([at(0.5, 1), at(1, 1), at(0.5, 15)]).toEqual([
      [900, null, null],
      [900, 1, null],
      [900, null, null],
    ])
    expect([at(5, 15), at(20, 15)]).toEqual([
      [900, 3, null],
      [900, 1, null],
    ])
  })
})

describe('the end of a drain', () => {
  const window = (drainedMessages: number | null, quarantinedMessages: number | null) => ({
    drainedMessages,
    quarantinedMessages,
  })
  const DIRECT = 'Messages go straight to PostgreSQL again.'

  it('claims that everything is stored only when that is known', () => {
    expect(drainEndText(window(7, 0), 0)).toBe(`Every buffered message is stored. ${DIRECT}`)
    expect(drainEndText(null, null)).toBe(`The buffers are empty. ${DIRECT}`)
    // Of another instance the status may not have heard yet.
    expect(drainEndText(null, 0)).toBe(`The buffers are empty. ${DIRECT}`)
  })

  it('says how many were stored, how many were not, and what is left of earlier', () => {
    expect(drainEndText(window(2, 5), 5)).toBe(
      `2 messages were stored, 5 could not be stored and were set aside. ${DIRECT}`,
    )
    expect(drainEndText(window(null, 1), 1)).toBe(
      `– messages were stored, 1 could not be stored and was set aside. ${DIRECT}`,
    )
    expect(drainEndText(null, 5)).toBe(
      `The buffers are empty. 5 messages that could not be stored are set aside. ${DIRECT}`,
    )
    expect(drainEndText(window(2, 0), 1)).toBe(
      `Every buffered message is stored. 1 message that could not be stored is set aside from earlier. ${DIRECT}`,
    )
  })
})

describe('the latest value of a chart', () => {
  const MINUTE = 60_000
  const NOW = 100 * MINUTE + 20_000
  /** By how many whole minutes ago the bucket began; 0 is being filled. */
  const buckets = (values: Readonly<Record<number, number | null>>) =>
    Object.entries(values)
      .map(([ago, value]) => ({ at: (100 - Number(ago)) * MINUTE, value }))
      .sort((a, b) => a.at - b.at)
  const latest = (values: Readonly<Record<number, number | null>>, end = NOW) => {
    const points = buckets(values)
    return latestValue(
      points,
      points.map(({ at }) => at),
      end,
      NOW,
    )
  }

  it('is that of the newest complete bucket', () => {
    expect(latest({ 0: 1, 1: 7, 2: 9 })).toBe(7)
    expect(latest({ 0: null, 1: 0, 2: 9 })).toBe(0)
    expect(latest({ 1: 7 })).toBe(7)
  })

  it('may be missing in the last two, which are not stored yet, and is unknown when older', () => {
    expect(latest({ 0: null, 1: null, 2: 9, 3: 4 })).toBe(9)
    expect(latest({ 2: 9, 3: 4 })).toBe(9)
    expect(latest({ 0: null, 1: null, 2: null, 3: 1_110 })).toBe(null)
    expect(latest({ 0: 5, 1: null, 2: null, 3: 1_110 })).toBe(null)
    expect(latest({ 30: 1_110, 31: 1_110 })).toBe(null)
    expect(latest({})).toBe(null)
  })

  it('grows old when nothing is read any more, and is that of its end where a span of the past is shown', () => {
    const points = buckets({ 30: 3, 31: 4, 32: 5 })
    const times = points.map(({ at }) => at)
    expect(latestValue(points, times, 70 * MINUTE + 30_000, NOW)).toBe(3)
    expect(latestValue(points, times, 72 * MINUTE + 30_000, NOW)).toBe(3)
    expect(latestValue(points, times, 73 * MINUTE, NOW)).toBe(null)
    expect(latestValue(points, times, NOW, NOW)).toBe(null)
  })

  it('takes the width of the buckets from all series: one that ended long ago stays unknown', () => {
    const times = buckets({ 0: 1, 1: 1, 2: 1, 3: 1 }).map(({ at }) => at)
    expect(latestValue(buckets({ 30: 8, 60: 8 }), times, NOW, NOW)).toBe(null)
  })
})

describe('figures of all queues', () => {
  it('are 0 where nothing was counted, and unknown where it could not be read', () => {
    const measured = [
      { at: 1, value: 5 },
      { at: 2, value: null },
    ]
    const values = (series: [] | undefined) => overQueues(series, measured, () => 1).map(({ value }) => value)
    expect([values([]), values(undefined)]).toEqual([
      [0, null],
      [null, null],
    ])
  })
})
