/** Lanes over a scripted store: what becomes of items when PostgreSQL answers badly, late or not at all. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { PushResult } from '../../src/ports/push-store.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { item, place } from './push-stack.ts'
import { A, B, bench, done, type Flush, statuses, unsure } from './scripted-lanes.ts'

afterEach(() => vi.useRealTimers())

describe('lanes', () => {
  test('G4 what is added while pushes are held goes nowhere, and then where the route leads', async () => {
    for (const leads of ['direct', 'buffer'] as const) {
      const { route, add, log, scripted } = bench()
      route.set('held')
      const pushed = add(A, '1')
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect([log, scripted.flushes]).toEqual([[], []])
      route.set(leads)
      expect(statuses(await pushed)).toEqual([leads === 'direct' ? 'queued' : 'buffered'])
    }
  })

  test('conflicts are tried again at once, in order', async () => {
    const { scripted, add, log, unavailable } = bench()
    const conflict: Flush = () => Promise.reject(new StoreError('conflict', 'deadlock'))
    scripted.script = [conflict, conflict, conflict]
    await Promise.all([add(A, '1', '2'), add(B, '3')])
    expect([log, unavailable]).toEqual([['stored 1', 'stored 2', 'stored 3'], []])
  })

  test('conflicts without end go to the buffer', async () => {
    const { scripted, add, log, unavailable } = bench()
    scripted.script = Array(20).fill(() => Promise.reject(new StoreError('conflict', 'deadlock')))
    await add(A, '1')
    expect([log, unavailable.length]).toEqual([['buffered 1'], 1])
  })

  test.each(['unavailable', 'locked', 'read_only'] as const)(
    '%s: everything goes to the buffer, older before newer',
    async (failure) => {
      const { scripted, add, log, lost, lanes } = bench()
      const fail = Promise.withResolvers<PushResult>()
      scripted.script = [() => fail.promise]
      const first = add(A, '1', '2')
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      const second = add(A, '3')
      fail.reject(new StoreError(failure, 'gone'))
      expect([...statuses(await first), ...statuses(await second)]).toEqual(['buffered', 'buffered', 'buffered'])
      expect([log, lost, scripted.flushes.length]).toEqual([
        ['buffered 1', 'buffered 2', 'buffered 3'],
        [null, null, null],
        1,
      ])
      await lanes.idle()
    },
  )

  test.each(['unavailable', 'conflict'] as const)(
    'G3 records of a flush whose answer was lost (%s) are told its ids, lane by lane, and only those',
    async (failure) => {
      const { scripted, add, lost, log } = bench()
      scripted.script = [
        () => done({ ...unsure }, { ...unsure }),
        () => Promise.reject(new StoreError(failure, 'connection lost', { outcomeUnknown: true })),
      ]
      const first = [add(A, '1'), add(B, '2')]
      await vi.waitFor(() => expect(scripted.flushes.length).toBe(2))
      await Promise.all([...first, add(A, '3')])
      const bases = new Map(scripted.flushes[1]!.map(({ partitionId, idBase }) => [partitionId, idBase]))
      const told = new Map(log.map((entry, index) => [entry, lost[index]]))
      expect(told).toEqual(
        new Map([
          ['buffered 1', bases.get(A.id)],
          ['buffered 2', bases.get(B.id)],
          ['buffered 3', null],
        ]),
      )
      expect(bases.get(A.id)).not.toBe(bases.get(B.id))
    },
  )

  test('G5 a flush that meets the switch goes to the buffer', async () => {
    const stack = bench()
    stack.scripted.script = [() => ({ status: 'diverted' })]
    expect(statuses(await stack.add(A, '1'))).toEqual(['buffered'])
    expect([stack.diverted, stack.lost]).toEqual([1, [null]])
  })

  test('G8 PostgreSQL refuses one message: it alone fails, its neighbours are stored in order', async () => {
    const { scripted, add, log, unavailable, defects, lanes } = bench()
    const refuses: Flush = (writes) => {
      if (writes.some(({ body }) => Buffer.from(body).includes('poison')))
        throw new StoreError('rejected', 'invalid', { sqlState: '22021' })
      return scripted.stored(writes)
    }
    scripted.script = Array(60).fill(refuses)
    const names = Array.from({ length: 20 }, (_, i) => (i === 13 ? 'poison' : `${i}`))
    const [items, others] = await Promise.all([add(A, ...names), add(B, 'x', 'y')])
    expect(
      items
        .filter(({ status }) => status !== 'queued')
        .map(({ transactionId, status, failure }) => [transactionId, status, failure?.code]),
    ).toEqual([['poison', 'failed', 'INVALID_PAYLOAD']])
    expect(statuses(others)).toEqual(['queued', 'queued'])
    expect(log.filter((line) => !/[xy]$/.test(line))).toEqual(
      names.filter((name) => name !== 'poison').map((name) => `stored ${name}`),
    )
    expect([unavailable.length, defects.length > 0]).toEqual([0, true])
    // Afterwards they go together again.
    await lanes.idle()
    await Promise.all([add(A, 'p', 'q', 'r'), add(B, 's')])
    expect(scripted.flushes.at(-1)!.map(({ count }) => count)).toEqual([3, 1])
  })

  test('a defect fails the items of its flush, once, and nothing hangs', async () => {
    const { scripted, add, defects, lanes } = bench()
    scripted.script = [
      () => Promise.reject(new StoreError('defect', 'no such column')),
      () => Promise.reject(new TypeError('ours')),
    ]
    const failed = await add(A, '1', '2')
    expect(failed.map(({ failure }) => failure?.code)).toEqual(['INTERNAL', 'INTERNAL'])
    expect((await add(A, '3')).map(({ failure }) => failure?.code)).toEqual(['INTERNAL'])
    expect([defects.length, statuses(await add(A, '4'))]).toEqual([2, ['queued']])
    await lanes.idle()
  })

  test('a partition that vanished: its items go to the one that takes its place, in order', async () => {
    const { add, scripted, log, lanes } = bench()
    scripted.script = [() => done({ status: 'gone' })]
    const first = add(A, '1', '2')
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const items = [...(await first), ...(await add(B, '3'))]
    expect(items.map(({ status, partitionId }) => [status, partitionId])).toEqual(Array(3).fill(['queued', B.id]))
    expect(log).toEqual(['stored 1', 'stored 2', 'stored 3'])
    await lanes.idle()
    expect(lanes.empty).toBe(true)
  })

  test('a failure while one lane is made writable does not touch the others', async () => {
    const { add, scripted, log, gone } = bench()
    gone.error = new StoreError('unavailable', 'away')
    scripted.script = [
      (writes) =>
        done(
          { status: 'gone' },
          { ...unsure, duplicates: [{ index: 0, messageId: 'x' }] },
          ...writes.slice(2).map((write) => scripted.storedOne(write)),
        ),
    ]
    const C = place('c0000000-0000-4000-8000-000000000000', 'c')
    const results = await Promise.all([add(A, '1'), add(B, '2', '3'), add(C, '4')])
    expect(results.map(statuses)).toEqual([['buffered'], ['duplicate', 'buffered'], ['queued']])
    expect(log.toSorted()).toEqual(['buffered 1', 'buffered 3', 'stored 4'])
  })

  test('G9 a store that never answers: every push has its answer within 3 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
    const { scripted, add, lost, log } = bench()
    scripted.script = Array(4).fill(() => new Promise<PushResult>(() => {}))
    const startedAt = Date.now()
    const first = add(A, '1')
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const answeredAt: number[] = []
    const later: Promise<unknown>[] = [first.then(() => answeredAt.push(Date.now() - startedAt))]
    for (let i = 0; i < 6; i++) {
      await vi.advanceTimersByTimeAsync(400)
      const at = Date.now()
      later.push(add(A, `later ${i}`).then(() => answeredAt.push(Date.now() - at)))
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    }
    for (let i = 0; i < 10; i++) {
      await vi.advanceTimersByTimeAsync(100)
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    }
    await Promise.all(later)
    expect(Math.max(...answeredAt)).toBeLessThan(3_000)
    expect([log[0], lost[0]]).toEqual(['buffered 1', scripted.flushes[0]![0]!.idBase])
    expect(log).toEqual(['buffered 1', ...Array.from({ length: 6 }, (_, i) => `buffered later ${i}`)])
  })

  test('G9 a push that waited for too long begins no flush', async () => {
    const { scripted, lanes, unavailable } = bench()
    const late = [item('orders', 'a', 'late')]
    const answered = Promise.withResolvers<void>()
    lanes.add(A, late, { remaining: 1, startedAtMs: Date.now() - 2_500, done: answered.resolve })
    await answered.promise
    expect([statuses(late), scripted.flushes.length, unavailable.length]).toEqual([['buffered'], 0, 1])
  })
})
