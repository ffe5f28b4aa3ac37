/** When the judge takes an instance to have been on its own. */
import { expect, test } from 'vitest'
import { outagesOf } from './outages.ts'

const log = (...lines: object[]): string =>
  lines.map((line, at) => JSON.stringify({ time: at + 1, ...line })).join('\n')
const started = { type: 'recovered', msg: 'the file buffer is open' }
const connected = { msg: 'PostgreSQL is connected' }
const forEver = Number.POSITIVE_INFINITY

test('from losing PostgreSQL to being back with the others', () => {
  expect(outagesOf(log(started, connected, { to: 'direct' }, { to: 'outage' }, { to: 'draining' }))).toEqual([
    { fromMs: 1, toMs: 3 },
    { fromMs: 4, toMs: forEver },
  ])
})

test('a window that an instance only remembers is none of the others until PostgreSQL was reached', () => {
  expect(outagesOf(log(started, { to: 'window' }))).toEqual([{ fromMs: 1, toMs: forEver }])
  expect(outagesOf(log(started, { to: 'window' }, connected))).toEqual([{ fromMs: 1, toMs: 3 }])
  expect(outagesOf(log(started, connected, { to: 'window' }))).toEqual([{ fromMs: 1, toMs: 3 }])
  expect(outagesOf(log(started, { to: 'window' }, { to: 'outage' }, connected))).toEqual([{ fromMs: 1, toMs: forEver }])
})

test('what one process reached is forgotten with it', () => {
  expect(outagesOf(log(started, connected, { to: 'direct' }, started, { to: 'window' }))).toEqual([
    { fromMs: 1, toMs: 3 },
    { fromMs: 4, toMs: forEver },
  ])
})
