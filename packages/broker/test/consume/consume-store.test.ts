/** The PostgreSQL store against the suite every ConsumeStore has to pass. */
import { randomUUID } from 'node:crypto'
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
