/** The push half of a transaction. */
import { expect, test } from 'vitest'
import { MessageIdSource } from '../../src/engine/format/message-id.ts'
import { DedupCache } from '../../src/engine/push/dedup-cache.ts'
import { prepareTransactionPush } from '../../src/engine/push/push-transaction.ts'
import type { PushResult, PushStore, SegmentWrite } from '../../src/ports/push-store.ts'
import { openTestDatabase } from '../store/test-database.ts'
import { item, PushStack, place } from './push-stack.ts'
import { write } from './push-store-conformance.ts'

test('G3 a partition that vanished takes with it what was known of it: its offsets are counted anew', async () => {
  const partition = place('a0000000-0000-4000-8000-000000000000', 'a')
  const dedup = new DedupCache(1024 * 1024)
  const { dedupWindowSeconds } = partition.queue.options
  const known = dedup.partition(partition.id, dedupWindowSeconds)
  known.add(0, Buffer.alloc(160, 7))
  const forgotten: string[] = []
  const told: number[] = []
  const store: Pick<PushStore, 'pushInTransaction'> = {
    pushInTransaction: async (_session: unknown, writes: readonly SegmentWrite[]): Promise<PushResult> => {
      told.push(...writes.map(({ knownTo }) => knownTo))
      return { status: 'done', outcomes: writes.map(() => ({ status: 'gone' })), configVersion: 1 }
    },
  }
  const push = await prepareTransactionPush(
    {
      store: store as PushStore,
      dedup,
      ids: new MessageIdSource(),
      nowMs: Date.now,
      prepare: async (items) => items.map(() => partition),
      forget: (queue) => forgotten.push(queue),
      onStored: () => {},
    },
    [item('orders', 'a', '1')],
  )
  for (let run = 0; run < 2; run++) {
    await expect(push.run({ session: null })).rejects.toMatchObject({ failure: 'conflict', outcomeUnknown: false })
  }
  expect([told, forgotten, dedup.bytes]).toEqual([[10, 0], ['orders', 'orders'], 0])
})

test('G9 a transaction that has to look through many keys needs no second connection', async () => {
  await using opened = await openTestDatabase({ poolSize: 1 })
  const { database } = opened
  const stack = new PushStack(database)
  const names = Array.from({ length: 70_000 }, (_, i) => `k${i}`)
  for (let i = 0; i < names.length; i += 10_000)
    await stack.store.pushMessages(
      [write((await stack.catalog.ensurePartition('many', 'p')).id, names.slice(i, i + 10_000), { window: 0 })],
      null,
    )
  const items = [item('many', 'p', 'k69999'), item('many', 'p', 'new')]
  const push = await prepareTransactionPush(
    {
      store: stack.store,
      dedup: stack.dedup,
      ids: stack.ids,
      nowMs: Date.now,
      prepare: (list) => stack.push.prepare(list),
      forget: () => {},
      onStored: () => {},
    },
    items,
  )
  expect(await database.transaction('hot', (sql) => push.run({ session: sql }))).toBe(null)
  expect(items.map(({ status }) => status)).toEqual(['duplicate', 'queued'])
})
