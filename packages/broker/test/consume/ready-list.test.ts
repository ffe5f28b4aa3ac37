/** The order of a ready list, and what it keeps in memory for it. */
import { expect, it } from 'vitest'
import { ReadyList } from '../../src/engine/consume/ready-list.ts'

const first = (list: ReadyList) => list.first(() => true)?.id

it('keeps no trace of partitions that are always taken by their names', () => {
  const list = new ReadyList(100)
  list.toReady(list.state('waits', 0), 0)
  const named = list.state('named', 0)
  for (let i = 0; i < 10_000; i++) {
    list.toReady(named, i)
    list.toClaiming(named, i)
    list.toIdle(named, i)
  }
  expect(list.queued).toBeLessThan(2_000)
  expect(first(list)).toBe('waits')
})

it('serves the longest unserved first, also when it has forgotten void entries', () => {
  const list = new ReadyList(100)
  const [a, b, named] = ['a', 'b', 'named'].map((id) => list.state(id, 0))
  list.toReady(a!, 0)
  for (let i = 0; i < 1_500; i++) {
    if (i === 700) list.toReady(b!, i)
    list.toReady(named!, i)
    list.toClaiming(named!, i)
  }
  list.toReady(named!, 1_500)
  const served: string[] = []
  for (let id = first(list); id !== undefined; id = first(list)) {
    served.push(id)
    list.toIdle(list.peek(id)!, 2_000)
  }
  expect(served).toEqual(['a', 'b', 'named'])
})

it('takes no partition back that it has forgotten, whatever comes of a claim of it', () => {
  const outcomes: ((list: ReadyList, state: ReturnType<ReadyList['state']>) => void)[] = [
    (list, state) => list.toReady(state, 1),
    (list, state) => list.toReady(state, 1, true),
    (list, state) => list.toIdle(state, 1),
    (list, state) => list.toSleep(state, 'busy', 2, 1),
  ]
  for (const outcome of outcomes) {
    const list = new ReadyList(100)
    const before = list.state('p', 0)
    list.toReady(before, 0)
    list.toClaiming(before, 0)
    // Its queue is deleted while the claim is under way, and made anew.
    list.clear()
    outcome(list, before)
    list.wake(10)
    expect([first(list), list.readyCount, list.claimingCount, list.nextWakeMs]).toEqual([
      undefined,
      0,
      0,
      Number.POSITIVE_INFINITY,
    ])
    list.toReady(list.state('p', 20), 20)
    expect(list.first(() => true)).not.toBe(before)
  }
})
