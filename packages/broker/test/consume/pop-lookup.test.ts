/** What is kept of the feeds that requests are looked up in: a catalog and a store that answer when they are told to. */
import { expect, it, vi } from 'vitest'
import { Feeds } from '../../src/engine/consume/feeds.ts'
import { GroupFeed } from '../../src/engine/consume/group-feed.ts'
import { PopLookup } from '../../src/engine/consume/pop-lookup.ts'
import { PopWait } from '../../src/engine/consume/pop-wait.ts'
import type { QueueEntry } from '../../src/engine/types.ts'
import { never, popRequest } from './fixture.ts'

function scene(queue: QueueEntry | null) {
  const feeds = new Feeds(2, 10)
  const found = Promise.withResolvers<QueueEntry | null>()
  const lookup = new PopLookup(
    {
      store: {} as never,
      catalog: {
        queue: () => found.promise,
        partition: async () => null,
        match: async () => [],
        matchReady: async () => [],
      },
      feeds,
      notificationsWork: () => true,
    },
    { enter() {}, join() {}, advance() {}, pump() {}, databaseError() {} },
  )
  const wait = new PopWait(
    popRequest({ queue: 'q' }),
    never,
    performance.now(),
    () => 'no_message',
    () => {},
  )
  return { feeds, lookup, wait, answer: () => found.resolve(queue) }
}

const queue = { id: 'id', name: 'q' } as QueueEntry

it('keeps the feed of a request that is being looked up, so a group never has two of a queue (G6)', async () => {
  const { feeds, lookup, wait, answer } = scene(queue)
  const entered = vi.fn(() => expect(feeds.peek('q', '__QUEUE_MODE__')).toBe(wait.feeds[0]))
  const looking = lookup.lookUp(wait, entered)
  for (const other of ['a', 'b', 'c']) feeds.get(other, 'g')
  answer()
  await looking
  expect(entered).toHaveBeenCalledOnce()
  expect(feeds.count).toBe(2)
  // Nobody waits on it: it may go.
  feeds.get('d', 'g')
  feeds.get('e', 'g')
  expect(feeds.peek('q', '__QUEUE_MODE__')).toBeUndefined()
  expect(feeds.ofQueue('id')).toBeUndefined()
  wait.finish()
})

it('keeps nothing of a feed that was dropped while its queue was looked up', async () => {
  const { feeds, lookup, wait, answer } = scene(queue)
  const looking = lookup.settle(feeds.get('q', 'g'))
  for (const other of ['a', 'b', 'c']) feeds.get(other, 'g')
  answer()
  await looking
  expect(feeds.ofQueue('id')).toBeUndefined()
  wait.finish()
})

it('keeps nothing of queues that do not exist once nobody waits for them', async () => {
  const { lookup, wait, answer } = scene(null)
  answer()
  await lookup.lookUp(wait, () => {})
  const [feed] = wait.feeds
  feed!.waiters.add(wait)
  lookup.missing(feed!)
  feed!.leave(wait)
  lookup.leave(wait)
  const asked = vi.spyOn(GroupFeed.prototype, 'waiting', 'get')
  lookup.news('other')
  expect(asked).not.toHaveBeenCalled()
  asked.mockRestore()
  wait.finish()
})
