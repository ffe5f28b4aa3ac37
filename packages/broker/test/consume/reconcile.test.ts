/** What a look through all partitions of a queue finds, wherever the last one ended. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GroupFeed } from '../../src/engine/consume/group-feed.ts'
import { reconcile } from '../../src/engine/consume/reconcile.ts'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { defaultOptions } from '../push/push-stack.ts'
import { type ConsumeFixture, openFixture } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

describe('a reconcile', () => {
  it.each(['', 'B', 'a', '\uff5e', '\u{1f600}', '\u{10ffff}'])(
    'finds every partition once when the last one ended at %j, in whatever order PostgreSQL has the names',
    async (after) => {
      const name = `around-${after}`
      const queueId = await fixture.createQueue(name)
      const ids: string[] = []
      // UTF-16 has the last two the other way round, as other orders than that of bytes have the first two.
      for (const partition of ['B', 'a', '\uff5e', '\u{1f600}']) {
        const id = await fixture.createPartition(queueId, partition)
        await fixture.append(id, ['m'])
        ids.push(id)
      }
      const found: string[] = []
      const store: ConsumeStore = {
        ...fixture.store,
        async reconcilePartitions(query) {
          const page = await fixture.store.reconcilePartitions({ ...query, limit: 1 })
          found.push(...page.sights.map(({ partitionId }) => partitionId))
          return page
        },
      }
      const feed = new GroupFeed(name, 'g', 100)
      feed.queue = { id: queueId, name, namespace: '', task: '', options: defaultOptions(), createdAt: '' }
      feed.start = { mode: 'all', at: null }
      feed.reconcileAfter = after
      await reconcile(store, feed)
      expect(found.toSorted()).toEqual(ids.toSorted())
      expect(feed.list.readyCount).toBe(4)
    },
  )
})
