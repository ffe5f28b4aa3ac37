/** Reads of one partition by its name. */
import type { PartitionSummary } from '@queen/client'
import { admin } from '../../api/queen.ts'

// The search is for a part of the name and sorted by it; a name comes before the names it is a part of, where these
// begin with it. Others in front of it are passed by within a few pages or the counts stay unknown.
const PAGE = 200
const PAGES_MAX = 5

/** null when it is not among the first that contain the name. */
export async function readPartition(
  queue: string,
  partition: string,
  signal: AbortSignal,
): Promise<PartitionSummary | null> {
  let after: string | undefined
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await admin.getPartitions({ queue, search: partition, limit: PAGE, after }, { signal })
    const found = answer.partitions.find(({ name }) => name === partition)
    if (found !== undefined) return found
    if (answer.pagination.next === null) return null
    after = answer.pagination.next
  }
  return null
}
