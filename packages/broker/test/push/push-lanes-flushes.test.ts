/** Lanes over a scripted store: what shares a flush, and what has one of its own. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { isOnePiece, item, place } from './push-stack.ts'
import { A, B, bench, statuses } from './scripted-lanes.ts'

afterEach(() => vi.useRealTimers())

describe('flushes of lanes', () => {
  test('what arrives in one turn shares a flush, a lane is in one flush at a time', async () => {
    const { scripted, add, lanes } = bench()
    const held = Promise.withResolvers<void>()
    let flying = 0
    scripted.script = [
      async (writes) => {
        flying++
        await held.promise
        flying--
        return scripted.stored(writes)
      },
    ]
    const first = [add(A, '1'), add(B, '2'), add(A, '3')]
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const second = [add(A, '4'), add(A, '5')]
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect([flying, scripted.flushes.length, lanes.holds(A.id), lanes.empty]).toEqual([1, 1, true, false])
    held.resolve()
    await Promise.all([...first, ...second])
    expect(scripted.flushes.map((writes) => writes.map(({ partitionId, count }) => [partitionId[0], count]))).toEqual([
      [
        ['a', 2],
        ['b', 1],
      ],
      [['a', 2]],
    ])
    await lanes.idle()
    expect([lanes.holds(A.id), lanes.empty]).toEqual([false, true])
  })

  test('the segments of a flush are one piece of memory, in the order in which they are locked', async () => {
    const { scripted, add } = bench()
    await Promise.all([add(B, '1', '2'), add(A, '3')])
    expect(scripted.flushes.map((writes) => writes.map(({ partitionId }) => partitionId))).toEqual([[A.id, B.id]])
    expect(isOnePiece(scripted.flushes[0]!)).toBe(true)
  })

  test('a large push has a flush of its own beside the small ones', async () => {
    const { scripted, lanes, add } = bench()
    const held = scripted.hold()
    const large = [item('orders', 'a', 'large', JSON.stringify('x'.repeat(1_000_000)))]
    const done = Promise.withResolvers<void>()
    lanes.add(A, large, { remaining: 1, startedAtMs: Date.now(), done: done.resolve })
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(statuses(await add(B, 'small'))).toEqual(['queued'])
    expect(large[0]!.status).toBeNull()
    held.resolve()
    await done.promise
    expect(large[0]!.status).toBe('queued')
  })

  test.each([
    ['what is heavy leaves', 200_000, 2],
    ['what is light waits', 100, 1],
  ])('beside a flush that has only begun, %s', async (_, bytes, flushes) => {
    const { scripted, lanes, add } = bench()
    const held = scripted.hold()
    // Its clock stands still: no flush is slow.
    vi.useFakeTimers({ toFake: ['performance'] })
    const first = add(A, 'first')
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const second = Promise.withResolvers<void>()
    const items = [item('orders', 'b', 'second', JSON.stringify('x'.repeat(bytes)))]
    lanes.add(B, items, { remaining: 1, startedAtMs: Date.now(), done: second.resolve })
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(scripted.flushes.length).toBe(flushes)
    held.resolve()
    await Promise.all([first, second.promise])
    expect(scripted.flushes.length).toBe(2)
  })

  test('lanes that weigh more than a commit leave in several flushes at once, each lane in order', async () => {
    const { scripted, lanes, log } = bench()
    const held = scripted.hold(3)
    const places = Array.from({ length: 9 }, (_, i) => place(`${i}0000000-0000-4000-8000-000000000000`, `p${i}`))
    const pushed = places.map(async (to, i) => {
      const items = [0, 1].map((k) => item('orders', to.name, `${i}-${k}`, JSON.stringify('x'.repeat(30_000))))
      const { promise, resolve } = Promise.withResolvers<void>()
      lanes.add(to, items, { remaining: items.length, startedAtMs: Date.now(), done: resolve })
      await promise
    })
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    // Three of 60 kB weigh enough.
    expect(scripted.flushes.map((writes) => writes.length)).toEqual([3, 3, 3])
    held.resolve()
    await Promise.all(pushed)
    for (const i of places.keys()) {
      expect(log.filter((line) => line.startsWith(`stored ${i}-`))).toEqual([`stored ${i}-0`, `stored ${i}-1`])
    }
  })

  test('lanes that are many share a flush, whatever they weigh', async () => {
    const { scripted, lanes } = bench()
    const pushed = Array.from({ length: 100 }, async (_, i) => {
      const to = place(`${String(i).padStart(8, '0')}-0000-4000-8000-000000000000`, `p${i}`)
      const { promise, resolve } = Promise.withResolvers<void>()
      const heavy = JSON.stringify('x'.repeat(20_000))
      lanes.add(to, [item('orders', to.name, `${i}`, heavy)], { remaining: 1, startedAtMs: Date.now(), done: resolve })
      await promise
    })
    await Promise.all(pushed)
    expect(scripted.flushes.map((writes) => writes.length)).toEqual([100])
  })
})
