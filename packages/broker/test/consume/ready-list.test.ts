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
