/** What is shown: values, tables, paths, progress, maintenance, top. */
import type { DlqMessage, MaintenanceStatus, QueueSummary, TraceRecord } from '@queen/client'
import { expect, test } from 'vitest'
import { DEAD_LETTER_COLUMNS } from '../../src/commands/dead-letters.ts'
import { QUEUE_COLUMNS } from '../../src/commands/queue.ts'
import { TRACE_COLUMNS } from '../../src/commands/traces.ts'
import { failureGuidance, summary } from '../../src/maintenance/run/guidance.ts'
import { windowWarnings } from '../../src/maintenance/run/window-watch.ts'
import { changeKey, maintenanceLines } from '../../src/maintenance/view.ts'
import { evaluateJsonPath, parseJsonPath } from '../../src/output/jsonpath.ts'
import { createPrinter } from '../../src/output/printer.ts'
import { createStyle, wantsColor } from '../../src/output/style.ts'
import { renderTable } from '../../src/output/table.ts'
import { fit, safeText, widthOf } from '../../src/output/text.ts'
import { age, bytes, count, rate, relativeTime } from '../../src/output/values.ts'
import { progressLine } from '../../src/progress/progress.ts'
import { keysOf } from '../../src/terminal/screen.ts'
import type { QueueRow, Snapshot } from '../../src/top/collect.ts'
import { frameLines, sortedRows, type View } from '../../src/top/frame.ts'
import { pressKey } from '../../src/top/keys.ts'

const NOW = Date.parse('2026-11-23T12:00:00.000Z')
const PLAIN = createStyle(false)

test('G10: what is unknown is a dash, never 0', () => {
  expect([count(null), bytes(undefined), age(null), rate(Number.NaN), relativeTime(null, NOW)]).toEqual(
    Array(5).fill('-'),
  )
  expect([count(0), bytes(0), age(0)]).toEqual(['0', '0 B', '0s'])
})

test('values', () => {
  expect([count(18204), count(-1234567)]).toEqual(['18,204', '-1,234,567'])
  expect([bytes(1023), bytes(2202010), bytes(41283002368)]).toEqual(['1023 B', '2.1 MiB', '38 GiB'])
  expect([450, 1_000, 190_000, 192_000, 7_200_000, 90_000_000].map(age)).toEqual([
    '450ms',
    '1s',
    '3m 10s',
    '3m 12s',
    '2h',
    '1d 1h',
  ])
  expect(relativeTime('2026-11-23T11:57:00.000Z', NOW)).toBe('3m ago')
  expect(relativeTime('2026-11-23T12:00:05.000Z', NOW)).toBe('in 5s')
})

test('tables are as wide as what stands in them, and what stands in them cannot move the cursor', () => {
  const columns = [
    { title: 'name', value: (row: { name: string; n: number | null }) => row.name },
    { title: 'n', value: (row: { n: number | null }) => row.n, right: true },
    { title: 'id', value: () => 'x', wide: true },
  ]
  const rows = [
    { name: '日本', n: 10 },
    { name: 'a\u001b[2J\nb', n: null },
  ]
  expect(renderTable(columns, rows, { wide: false, headers: true })).toEqual([
    'NAME            N',
    '日本           10',
    'a\\u001b[2J\\nb   -',
  ])
  expect(renderTable(columns, rows.slice(0, 1), { wide: true, headers: false })).toEqual(['日本  10  x'])
  expect(safeText('\u202eabc')).toBe('\\u202eabc')
  expect([fit('abcdef', 4), fit('日本語', 5), fit('abc', 3)]).toEqual(['abc…', '日本…', 'abc'])
})

test('a list fits a narrow terminal, but wide and what is no terminal get all of it; names are whole', async () => {
  const name = 'a-queue-with-a-rather-long-name'
  const row = { name, namespace: 'shop', task: 'orders', partitions: 12, leaseTime: 300, priority: 0 } as QueueSummary
  const printed = async (kind: 'table' | 'wide', columns?: number) => {
    let text = ''
    const write = async (part: string) => {
      text += part
    }
    await createPrinter({ kind }, true, write, columns).list({ columns: QUEUE_COLUMNS, rows: [row] })
    return text.trimEnd().split('\n')
  }
  const narrow = await printed('table', 60)
  expect(narrow.every((line) => widthOf(line) <= 60)).toBe(true)
  expect(narrow[0]).toMatch(/^NAME +.*PARTITIONS +PENDING +LAG$/)
  expect(narrow[1]).toContain(name)
  const whole = await printed('table')
  expect(whole[0]).toMatch(/NAMESPACE +TASK +PARTITIONS +PENDING +LAG +LEASE +PRIORITY$/)
  expect(await printed('table', 200)).toEqual(whole)
  expect((await printed('wide', 60))[0]).toMatch(/PRIORITY +CREATED +ID$/)
})

test('paths into JSON', () => {
  const value = { a: [{ b: 1 }, { b: 'two' }], 'odd key': null }
  const found = (path: string) => evaluateJsonPath(parseJsonPath(path), value)
  expect(found('.a[0].b')).toEqual([1])
  expect(found('{.a[*].b}')).toEqual([1, 'two'])
  expect(found('$.a[-1].b')).toEqual(['two'])
  expect(found("['odd key']")).toEqual([null])
  expect(found('.nope.x')).toEqual([])
  expect(found('.__proto__')).toEqual([])
  expect(() => parseJsonPath('.a[')).toThrow('no JSON path')
})

test('colours: the flag, then the environment, then the terminal', () => {
  expect(wantsColor({ flag: null, env: {}, isTty: true })).toBe(true)
  expect(wantsColor({ flag: null, env: { NO_COLOR: '1' }, isTty: true })).toBe(false)
  expect(wantsColor({ flag: null, env: { CLICOLOR: '0' }, isTty: true })).toBe(false)
  expect(wantsColor({ flag: null, env: { CLICOLOR_FORCE: '1', NO_COLOR: '1' }, isTty: false })).toBe(true)
  expect(wantsColor({ flag: false, env: { CLICOLOR_FORCE: '1' }, isTty: true })).toBe(false)
})

test('a bar as the contract draws it', () => {
  const state = { done: 11702, total: 18204, ratePerSecond: 5900, secondsLeft: 1 }
  expect(progressLine({ label: 'Draining', unit: 'messages' }, state, 0)).toBe(
    'Draining ████████░░░░ 64 %  11,702/18,204  5,900 msg/s  1s left',
  )
})

const STATUS: MaintenanceStatus = {
  maintenanceMode: true,
  popMaintenanceMode: false,
  phase: 'maintenance',
  since: '2026-11-23T11:56:48.000Z',
  reason: 'add index on orders',
  by: 'ops',
  safeToMigrate: true,
  blockers: [],
  stale: false,
  bufferedMessages: 18204,
  bufferedBytes: 4299161,
  oldestBufferedAt: '2026-11-23T11:56:50.000Z',
  quarantinedMessages: 0,
  bufferHealthy: true,
  drain: null,
  message: '',
  bufferStats: {},
  instances: [
    {
      id: 'q-0',
      hostname: 'queen-0',
      startedAt: '2026-11-20T08:00:00.000Z',
      lastSeenAt: '2026-11-23T11:59:59.000Z',
      phase: 'maintenance',
      bufferedMessages: 9310,
      bufferedBytes: 2202010,
      oldestBufferedAt: '2026-11-23T11:56:50.000Z',
      quarantinedMessages: 0,
      diskFreeBytes: 41283002368,
      capacityBytes: 10737418240,
      timeToFullSeconds: 90_000,
      live: true,
    },
  ],
}
const shown = (status: MaintenanceStatus) =>
  maintenanceLines(status, { style: PLAIN, wide: false, headers: true, nowMs: NOW }).join('\n')

test('in a narrow terminal free text is cut and lesser columns go; ids stay whole', () => {
  const transactionId = '01a22d78-f27b-7462-a486-63f573efc2a9'
  const letter = {
    transactionId,
    queue: 'failing.jobs',
    partition: 'p9',
    consumerGroup: 'workers',
    retryCount: 3,
    failedAt: '2026-11-23T11:00:00.000Z',
    errorMessage: 'TypeError: Cannot read properties of undefined '.repeat(5),
  } as DlqMessage
  const step = {
    created_at: '2026-11-23T11:00:00.000Z',
    event_type: 'step',
    consumer_group: 'workers',
    trace_names: ['order-1', 'customer-2'],
    data: { text: 'lorem '.repeat(40) },
  } as unknown as TraceRecord
  for (const columns of [80, 100, 140]) {
    const letters = renderTable(DEAD_LETTER_COLUMNS, [letter], { wide: false, headers: true, columns })
    const steps = renderTable(TRACE_COLUMNS, [step], { wide: false, headers: true, columns })
    expect([...letters, ...steps].filter((line) => widthOf(line) > columns)).toEqual([])
    expect(letters[1]).toContain(transactionId)
    expect(letters[1]).toContain('TypeError')
  }
  expect(renderTable(DEAD_LETTER_COLUMNS, [letter], { wide: false, headers: false })[0]).toContain(
    'undefined TypeError',
  )
})

test('the maintenance status', () => {
  expect(shown(STATUS)).toMatch(
    /Maintenance {2}ON, safe to migrate {6}since \d\d:56:48 \(3m 12s\) {3}by ops {3}"add index on orders"/,
  )
  expect(shown(STATUS)).toContain('Buffered     18,204 messages  4.1 MiB   oldest 3m 10s   quarantined 0')
  expect(shown(STATUS)).toMatch(/queen-0 {3}1s {5}maintenance {5}9,310 {2}2.1 MiB {2}3m 10s {5}38 GiB {5}> 1d/)
})

test('an outage is not called normal', () => {
  const off: MaintenanceStatus = { ...STATUS, maintenanceMode: false, phase: 'normal', safeToMigrate: false }
  for (const outage of [
    { ...off, stale: true },
    { ...off, bufferStats: { dbHealthy: false } },
  ]) {
    expect(shown(outage)).toContain('OFF, PostgreSQL is not reachable')
    expect(shown(outage)).toContain('Pushes go to the disk buffers')
    expect(shown(outage)).not.toContain('Pushes go to the database')
  }
  expect(shown({ ...off, bufferStats: { dbHealthy: true } })).toContain('OFF, normal')
})

test('what holds it up is named, an instance that is gone with its records too', () => {
  const dead = {
    ...STATUS.instances[0]!,
    id: 'q-2',
    hostname: 'queen-2',
    live: false,
    lastSeenAt: '2026-11-23T11:59:46.000Z',
  }
  const blocker = {
    instanceId: 'q-2',
    hostname: 'queen-2',
    reason: 'NOT_LIVE',
    bufferedMessages: null,
    lastSeenAt: dead.lastSeenAt,
  }
  const status = { ...STATUS, safeToMigrate: false, blockers: [blocker], instances: [dead] }
  expect(shown(status)).toContain('waiting for queen-2: no heartbeat for 14s')
  expect(shown(status)).toContain('queen-2 is not alive (last seen 14s ago) and holds 9,310 messages; they are')
  expect(shown({ ...status, instances: [{ ...dead, bufferedMessages: 1 }] })).toContain('and holds 1 message; it is')
  expect(changeKey(status)).not.toBe(changeKey(STATUS))
  expect(changeKey({ ...STATUS, bufferedMessages: 1 })).toBe(changeKey(STATUS))
})

test('warnings while a migration runs', () => {
  const keys = (status: MaintenanceStatus) => [...windowWarnings(status, NOW).keys()]
  expect(keys(STATUS)).toEqual([])
  expect(keys({ ...STATUS, maintenanceMode: false })).toEqual(['off'])
  expect(keys({ ...STATUS, bufferHealthy: false })).toEqual(['full'])
  const full = { ...STATUS.instances[0]!, timeToFullSeconds: 600 }
  expect(windowWarnings({ ...STATUS, instances: [full] }, NOW).get('soon')).toBe('a disk is full in 10m')
  expect(keys({ ...STATUS, instances: [{ ...full, live: false }] })).toEqual(['dead q-0'])
})

test('a failure says that nothing is lost and how to go on', () => {
  const text = failureGuidance({ code: 3, signal: null }, STATUS).join('\n')
  expect(text).toContain('ended with 3')
  expect(text).toContain('Pushes are still buffered and safe (18,204 messages); the disks last > 1d at this rate.')
  expect(text.match(/queenctl maintenance/g)).toHaveLength(3)
  const still = { ...STATUS, instances: STATUS.instances.map((each) => ({ ...each, timeToFullSeconds: null })) }
  expect(failureGuidance({ code: 3, signal: null }, still).join()).toContain('the fullest disk has 38 GiB free')
  expect(failureGuidance({ code: 3, signal: null }, { ...STATUS, maintenanceMode: false }).join()).toContain(
    'somebody else',
  )
  expect(summary(192_000, 18204, { ...STATUS, bufferedMessages: 0 })).toBe(
    'Window 3m 12s, 18,204 messages buffered, 18,204 drained, quarantined 0',
  )
})

const VIEW: View = {
  sort: 'pending',
  filter: '',
  typing: false,
  paused: false,
  panel: false,
  scroll: 0,
  staleSince: null,
}
const row = (name: string, pending: number | null): QueueRow => ({
  name,
  pending,
  leased: 0,
  lagSeconds: null,
  deadLetters: 0,
  pushPerSecond: 1,
  popPerSecond: 1,
  ackPerSecond: 1,
  failedPerSecond: null,
  groups: [],
})

test('top: keys, order, filter, stale data, a small window', () => {
  const snapshot: Snapshot = {
    at: '2026-11-23T12:00:00.000Z',
    maintenance: STATUS,
    queues: [row('a', 1), row('b', null), row('c', 5)],
    totals: { pushPerSecond: 3, popPerSecond: 3, ackPerSecond: 3, failedPerSecond: null },
    problems: [],
  }
  expect(sortedRows(snapshot.queues!, 'pending', '').map((each) => each.name)).toEqual(['c', 'a', 'b'])
  const keys = (text: string) => [...text].reduce((view, key) => pressKey(view, key).view, VIEW)
  expect(keys('s').sort).toBe('name')
  expect(keys('/cs\r')).toMatchObject({ filter: 'cs', typing: false, sort: 'pending' })
  expect(pressKey(VIEW, 'q').quit).toBe(true)
  expect(pressKey({ ...VIEW, typing: true }, 'q')).toMatchObject({ quit: false, view: { filter: 'q' } })
  const frame = (view: View, rows: number | null) => frameLines(snapshot, view, { columns: 60, rows }, PLAIN, NOW)
  expect(frame({ ...VIEW, staleSince: '2026-11-23T11:59:50.000Z' }, null).join('\n')).toContain(
    '[STALE, no broker answers since 10s]',
  )
  expect(frame(VIEW, 5)).toHaveLength(5)
  expect(frame({ ...VIEW, filter: 'c' }, null).join('\n')).not.toContain('\na ')
  expect(frame({ ...VIEW, panel: true }, null).join('\n')).toContain('queen-0')
})

test('no line is wider than the terminal, and what matters most stays', () => {
  const names = ['a', 'payments.eu-west-1.settlements', '日本語のキュー']
  const group = { name: '__QUEUE_MODE__', lagSeconds: 61, behind: 2 }
  const snapshot: Snapshot = {
    at: '2026-11-23T12:00:00.000Z',
    maintenance: { ...STATUS, drain: { total: 18204, drained: 11702, ratePerSecond: 5900, etaSeconds: 1 } },
    queues: names.map((name) => ({ ...row(name, 123_456), groups: [group, { ...group, name: 'billing' }] })),
    totals: { pushPerSecond: 3, popPerSecond: 3, ackPerSecond: 3, failedPerSecond: null },
    problems: ['rates: Request timeout after 30000ms'],
  }
  const frame = (columns: number, panel: boolean) =>
    frameLines(snapshot, { ...VIEW, panel, sort: 'name' }, { columns, rows: 30 }, PLAIN, NOW, true)
  for (let columns = 40; columns <= 200; columns++) {
    for (const panel of [true, false]) {
      const lines = frame(columns, panel)
      expect(lines).toHaveLength(30)
      expect(lines.filter((line) => widthOf(line) > columns)).toEqual([])
      expect(lines.at(-1)).toContain('q quit')
    }
    expect(frame(columns, false).join('\n')).toMatch(/^QUEUE +PENDING/m)
    expect(frame(columns, true).join('\n')).toMatch(/^INSTANCE .*BUFFERED/m)
    expect(frame(columns, true).join('\n')).toContain('64 %')
  }
  expect(frame(40, false).slice(0, 11)).toEqual([
    'Maintenance ON, safe to migrate',
    'instances 1/1   database connected',
    'push 3/s   pop 3/s   ack 3/s   fail -/s',
    'sorted by name',
    'unknown: rates: Request timeout after',
    '30000ms',
    '',
    'QUEUE                  PENDING  LAG  DLQ',
    'a                      123,456    -    0',
    'payments.eu-west-1.s…  123,456    -    0',
    '日本語のキュー         123,456    -    0',
  ])
  expect(frame(200, false).join('\n')).toContain('(no group) 1m 01s, billing 1m 01s')
})

test('keys come one by one, or several at once', () => {
  expect(keysOf('ms\u001b[A\u001b[5~/日\u0003')).toEqual(['m', 's', '\u001b[A', '\u001b[5~', '/', '日', '\u0003'])
  expect(keysOf('\u001b')).toEqual(['\u001b'])
})
