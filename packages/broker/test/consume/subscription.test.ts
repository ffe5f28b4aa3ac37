/** Where a group starts when its queue or its subscription becomes another one, while somebody waits or in between. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { Consumer } from '../../src/engine/consume/consumer.ts'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const ofGroup = (queue: string, more = {}) =>
  popRequest({ queue, consumerGroup: 'g', batch: 10, partitions: 10, subscription: { mode: 'new' }, ...more })
const prompt = (consumer: Consumer, queue: string) => consumer.popMessages(ofGroup(queue), never)
const waiting = (consumer: Consumer, queue: string, more = {}) =>
  consumer.popMessages(ofGroup(queue, { wait: true, timeoutMs: 20_000, ...more }), never)

async function started(queue: string): Promise<string | undefined> {
  const [row] = await fixture.sql<{ mode: string }>(
    `SELECT mode FROM queen.consumer_groups WHERE queue_name = $1::text AND group_name = 'g'`,
    [queue],
  )
  return row?.mode
}

/** What an operator's `POST …/subscription` with a time long ago does. */
async function moved(queue: string, ...consumers: Consumer[]): Promise<void> {
  await fixture.sql(
    `UPDATE queen.consumer_groups SET mode = 'timestamp', starts_at = '2020-01-01' WHERE queue_name = $1::text`,
    [queue],
  )
  for (const consumer of consumers) consumer.groupMoved('g', null)
}

it('is recorded anew for a queue that was deleted and made again, so every instance starts it there (G2)', async () => {
  await fixture.createQueue('anew')
  const consumer = fixture.consumer()
  expect((await prompt(consumer, 'anew')).runs).toHaveLength(0)
  await fixture.deleteQueue('anew')
  expect(await started('anew')).toBeUndefined()
  const queueId = await fixture.createQueue('anew')
  await vi.waitFor(async () => {
    expect((await prompt(consumer, 'anew')).runs).toHaveLength(0)
    expect(await started('anew')).toBe('new')
  })
  await fixture.append(await fixture.createPartition(queueId, 'p'), ['a'])
  expect(delivered(await prompt(fixture.consumer(), 'anew'))).toEqual(['a'])
})

it('is recorded anew for a queue that came, went and came again since the group asked for it in vain', async () => {
  const consumer = fixture.consumer()
  expect((await prompt(consumer, 'comes')).runs).toHaveLength(0)
  expect(await started('comes')).toBe('new')
  await fixture.createQueue('comes')
  await fixture.deleteQueue('comes')
  await fixture.append(await fixture.createPartition(await fixture.createQueue('comes'), 'p'), ['before'])
  await vi.waitFor(async () => {
    expect((await prompt(consumer, 'comes')).runs).toHaveLength(0)
    expect(await started('comes')).toBe('new')
  })
})

it('is recorded anew by a pop that waits while its queue is deleted and made again, heard of late', async () => {
  await fixture.createQueue('under')
  const consumer = fixture.consumer()
  await prompt(consumer, 'under')
  const answer = waiting(consumer, 'under')
  await fixture.sql(`SELECT queen.delete_queue('under')`)
  const queueId = randomUUID()
  await fixture.sql(`INSERT INTO queen.queues (id, name, namespace, task) VALUES ($1::uuid, 'under', 'under', '')`, [
    queueId,
  ])
  const partitionId = await fixture.createPartition(queueId, 'p')
  await fixture.append(partitionId, ['a'])
  // Nobody here knows a queue with this id yet.
  consumer.onHint(queueId, [partitionId])
  await fixture.setOptions(queueId, {})
  expect(delivered(await answer)).toEqual(['a'])
  expect(await started('under')).toBe('new')
})

it('is where an operator moved it, also for a pop that waits', async () => {
  const partitionId = await fixture.createPartition(await fixture.createQueue('moved'), 'p')
  await fixture.append(partitionId, ['old'])
  const consumer = fixture.consumer()
  await prompt(consumer, 'moved')
  const answer = waiting(consumer, 'moved')
  await moved('moved', consumer)
  expect(delivered(await answer)).toEqual(['old'])
})

it('is the arrival of a pop that waits while an operator deletes the group', async () => {
  const queueId = await fixture.createQueue('forgotten')
  const partitionId = await fixture.createPartition(queueId, 'p')
  const consumer = fixture.consumer()
  await prompt(consumer, 'forgotten')
  await fixture.append(partitionId, ['done'])
  const done = await prompt(consumer, 'forgotten')
  expect(delivered(done)).toEqual(['done'])
  await consumer.ackMessages(acksOf(done))
  const answer = waiting(consumer, 'forgotten')
  await fixture.sql(`DELETE FROM queen.cursors WHERE group_name = 'g' AND partition_id = $1::uuid`, [partitionId])
  await fixture.sql(`DELETE FROM queen.consumer_groups WHERE queue_name = 'forgotten'`)
  consumer.groupMoved('g', null)
  await vi.waitFor(async () => expect(await started('forgotten')).toBe('new'))
  await fixture.append(partitionId, ['next'])
  consumer.onHint(queueId, [partitionId])
  expect(delivered(await answer)).toEqual(['next'])
})

it('is read again when it was moved while it was being read', async () => {
  const partitionId = await fixture.createPartition(await fixture.createQueue('crossed'), 'p')
  await fixture.append(partitionId, ['old'])
  const read = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<void>()
  const store: ConsumeStore = {
    ...fixture.store,
    async recordSubscriptions(...args) {
      const starts = await fixture.store.recordSubscriptions(...args)
      read.resolve()
      await answered.promise
      return starts
    },
  }
  const consumer = fixture.consumer({ store })
  const answer = waiting(consumer, 'crossed')
  await read.promise
  await moved('crossed', consumer)
  answered.resolve()
  expect(delivered(await answer)).toEqual(['old'])
})

it('is read once for all who wait', async () => {
  const queueId = await fixture.createQueue('crowd')
  const partitions = names('p', 20)
  for (const name of partitions) await fixture.createPartition(queueId, name)
  let reads = 0
  const store: ConsumeStore = {
    ...fixture.store,
    async recordSubscriptions(...args) {
      reads++
      return fixture.store.recordSubscriptions(...args)
    },
  }
  const consumer = fixture.consumer({ store })
  await prompt(consumer, 'crowd')
  await fixture.append(await fixture.createPartition(queueId, 'unread'), ['old'])
  const answers = partitions.map((partition) => waiting(consumer, 'crowd', { partition }))
  await vi.waitFor(async () => {
    const cursors = await fixture.sql(
      `SELECT 1 AS one FROM queen.cursors k JOIN queen.partitions p ON p.id = k.partition_id WHERE p.queue_id = $1::uuid`,
      [queueId],
    )
    expect(cursors).toHaveLength(20)
  })
  const last = waiting(consumer, 'crowd')
  const before = reads
  await moved('crowd', consumer)
  expect(delivered(await last)).toEqual(['old'])
  expect(reads - before).toBeLessThan(5)
  await consumer.stop()
  await Promise.all(answers)
})

it('is asked for with pauses while that fails', async () => {
  const queueId = await fixture.createQueue('failing')
  await fixture.createPartition(queueId, 'empty')
  await fixture.append(await fixture.createPartition(queueId, 'p'), ['old'])
  let down = false
  let failed = 0
  const store: ConsumeStore = {
    ...fixture.store,
    async recordSubscriptions(...args) {
      if (!down) return fixture.store.recordSubscriptions(...args)
      failed++
      throw new StoreError('unavailable', 'down')
    },
  }
  const consumer = fixture.consumer({ store })
  await prompt(consumer, 'failing')
  down = true
  const begun = performance.now()
  const one = waiting(consumer, 'failing', { partition: 'empty' })
  const any = waiting(consumer, 'failing')
  await moved('failing', consumer)
  await vi.waitFor(() => expect(failed).toBeGreaterThan(3), { timeout: 10_000 })
  // Whatever the pause, a loop without one makes thousands of them in this time.
  expect(failed).toBeLessThan(10 + (performance.now() - begun) / 10)
  down = false
  expect(delivered(await any)).toEqual(['old'])
  await consumer.stop()
  await one
})
