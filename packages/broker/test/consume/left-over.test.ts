/** Whom an instance tells of messages its own consumers left: ready lists and a clock that do as they are told. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { GroupFeed } from '../../src/engine/consume/group-feed.ts'
import { LeftOver } from '../../src/engine/consume/left-over.ts'
import { names } from './fixture.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

function scene() {
  const feed = new GroupFeed('q', 'g', 20_000)
  feed.queue = { id: 'queue' } as never
  const told: string[] = []
  const leftOver = new LeftOver((_queueId, partitionId) => told.push(partitionId))
  const ended = (id: string): void => {
    feed.list.toReady(feed.list.state(id, performance.now()), performance.now())
    leftOver.watch(feed, id)
  }
  const taken = (id: string): void => feed.list.toClaiming(feed.list.state(id, 0), performance.now())
  return { feed, told, leftOver, ended, taken }
}

it('tells what nobody has taken after a moment, once', () => {
  const { told, ended } = scene()
  ended('p')
  vi.advanceTimersByTime(40)
  expect(told).toEqual([])
  vi.advanceTimersByTime(1_000)
  expect(told).toEqual(['p'])
  expect(vi.getTimerCount()).toBe(0)
})

it('tells nothing of a consumer in a loop, however long it goes on', () => {
  const { told, ended, taken } = scene()
  for (let i = 0; i < 500; i++) {
    ended('p')
    vi.advanceTimersByTime(7)
    taken('p')
    vi.advanceTimersByTime(2)
  }
  vi.advanceTimersByTime(1_000)
  expect(told).toEqual([])
  expect(vi.getTimerCount()).toBe(0)
})

it('tells what a retry delay withholds, and nothing of what is empty, leased again or gone', () => {
  const { feed, told, leftOver } = scene()
  const end = (id: string, place: (state: ReturnType<typeof feed.list.state>) => void): void => {
    place(feed.list.state(id, 0))
    leftOver.watch(feed, id)
  }
  end('paused', (state) => feed.list.toSleep(state, 'paused', 10_000, 0))
  end('empty', (state) => feed.list.toIdle(state, 0))
  end('leased', (state) => feed.list.toSleep(state, 'leased', 10_000, 0))
  end('gone', (state) => feed.list.toReady(state, 0))
  feed.list.forget('gone')
  vi.advanceTimersByTime(1_000)
  expect(told).toEqual(['paused'])
  end('left', (state) => feed.list.toReady(state, performance.now()))
  feed.queue = null
  vi.advanceTimersByTime(1_000)
  expect(told).toEqual(['paused'])
})

it('tells a backlog over thousands of partitions in small portions, and all of it (G9)', () => {
  const { told, ended } = scene()
  const all = names('p', 3_000)
  for (const id of all) ended(id)
  let before = 0
  while (vi.getTimerCount() > 0) {
    vi.advanceTimersToNextTimer()
    expect(told.length - before).toBeLessThanOrEqual(64)
    before = told.length
  }
  expect(told).toEqual(all)
})

it('watches a bounded number of partitions (G9)', () => {
  const { told, ended } = scene()
  for (const id of names('p', 15_000)) ended(id)
  vi.advanceTimersByTime(60_000)
  expect(told).toHaveLength(10_000)
})

it('tells everything at once when the instance stops', () => {
  const { told, ended, leftOver } = scene()
  for (const id of names('p', 200)) ended(id)
  leftOver.stop()
  expect(told).toHaveLength(200)
  expect(vi.getTimerCount()).toBe(0)
})
