/** The PostgreSQL store against the suite every ConsumeStore has to pass. */
import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { describeConsumeStore } from './consume-store-conformance.ts'
import { names, openFixture } from './fixture.ts'

describeConsumeStore('the PostgreSQL consume store', async () => {
  const fixture = await openFixture()
  return {
    store: fixture.store,
    async createPartition(segments) {
      const partitionId = await fixture.createPartition(await fixture.createQueue(randomUUID()), 'Default')
      let from = 0
      for (const count of segments) {
        await fixture.append(partitionId, names('m', count, from))
        from += count
      }
      return partitionId
    },
    async append(partitionId, count) {
      await fixture.append(partitionId, names(`${randomUUID()}-`, count))
    },
    async expireLease(partitionId, group) {
      await fixture.sql(
        `UPDATE queen.cursors SET lease_until = clock_timestamp() - interval '1 s'
          WHERE partition_id = $1::uuid AND group_name = $2::text`,
        [partitionId, group],
      )
    },
    async expireMessages(partitionId, offset) {
      await fixture.sql('UPDATE queen.partitions SET start_offset = $2::bigint WHERE id = $1::uuid', [
        partitionId,
        offset,
      ])
    },
    [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose](),
  }
})

it('gives the candidates of one statement 32 MiB and a segment each together; the others wait (G9)', async () => {
  await using fixture = await openFixture()
  const queueId = await fixture.createQueue('large')
  const partitionIds: string[] = []
  for (const name of ['large', 'small', 'empty', 'late']) {
    const partitionId = await fixture.createPartition(queueId, name)
    if (name !== 'empty') await fixture.append(partitionId, ['m'])
    partitionIds.push(partitionId)
  }
  const [large, small, empty, late] = partitionIds as [string, string, string, string]
  await fixture.sql(
    `UPDATE queen.segments SET body = convert_to(repeat('x', 32 << 20), 'UTF8') WHERE partition_id = $1::uuid`,
    [large],
  )
  const claim = (ids: readonly string[]) =>
    fixture.store.popMessages(
      ids.map((partitionId, request) => ({
        ...{ partitionId, group: 'g', request, want: 1, leaseId: `l${partitionId}`, shared: false, leaseMs: 60_000 },
        // As if the bodies were in memory: then they do not travel, but the answer holds them all the same.
        ...{ delayMs: 0, windowMs: 0, cachedFrom: 0, cachedTo: 1, start: { mode: 'all' as const, at: null } },
      })),
      1 << 20,
    )
  const states = async (ids: readonly string[]) => (await claim(ids)).map(({ state }) => state)
  expect(await states([small, large, empty, late])).toEqual(['claimed', 'claimed', 'empty', 'unused'])
  expect(await states([late])).toEqual(['claimed'])
})
