/**
 * Listing dead letters. The statement holds only the conditions that were asked for (see reads/dead-letter-filter.ts):
 * with optional conditions folded into one statement PostgreSQL could not use the index by queue.
 *
 * Reads only; dead letters are written by the acks.
 */
import type { DeadLetterStore, StoredDeadLetter } from '../ports/dead-letter-store.ts'
import { deadLetterFilter } from './reads/dead-letter-filter.ts'
import type { Sql } from './sql.ts'
import { isoMillis } from './timestamps.ts'

interface Row {
  id: string
  failed_at: string
  created_at: string
  message_id: string
  transaction_id: string
  partition_id: string
  partition_name: string
  queue_name: string
  namespace: string
  task: string
  group_name: string
  error_message: string | null
  retry_count: number
  frame: Buffer
  found: string
}

export function createDeadLetterStore({ admin }: { readonly admin: Sql }): DeadLetterStore {
  return {
    async listDeadLetters(filter, page) {
      const { used, from, values } = deadLetterFilter(filter)
      const counted = await admin.run<{ total: string }>(
        `count_dead_letters ${used}`,
        `SELECT count(*) AS total ${from}`,
        [...values],
      )

      let behind = ''
      if (page.after !== null) {
        values.push(page.after.failedAt, page.after.id)
        const position = `($${values.length - 1}::timestamptz, $${values.length}::bigint)`
        behind = `${used === '' ? 'WHERE' : 'AND'} (d.failed_at, d.id) < ${position}`
      }
      // One row more than asked for tells whether there are more.
      values.push(page.limit + 1, page.after === null ? page.offset : 0, page.bytesMax)
      const [limit, offset, bytesMax] = [values.length - 2, values.length - 1, values.length].map((n) => `$${n}`)
      // Names come last: joining them for more rows than are shown is what would make long lists slow.
      const rows = await admin.run<Row>(
        `list_dead_letters ${used}${page.after === null ? '' : ' after'}`,
        `SELECT r.*, p.name AS partition_name, q.name AS queue_name, q.namespace, q.task
           FROM (SELECT d.*, count(*) OVER () AS found,
                        sum(octet_length(d.frame)) OVER (ORDER BY d.failed_at DESC, d.id DESC) - octet_length(d.frame)
                          AS bytes_before
                   FROM (SELECT d.* ${from} ${behind}
                          ORDER BY d.failed_at DESC, d.id DESC LIMIT ${limit}::bigint OFFSET ${offset}::bigint) d) r
           JOIN queen.partitions p ON p.id = r.partition_id JOIN queen.queues q ON q.id = r.queue_id
          WHERE r.bytes_before < ${bytesMax}::bigint
          ORDER BY r.failed_at DESC, r.id DESC`,
        values,
      )
      const shown = rows.slice(0, page.limit)
      return {
        rows: shown.map(toDeadLetter),
        total: Number(counted[0]!.total),
        hasMore: shown.length < Number(rows[0]?.found ?? 0),
      }
    },
  }
}

function toDeadLetter(row: Row): StoredDeadLetter {
  return {
    position: { failedAt: row.failed_at, id: row.id },
    messageId: row.message_id,
    transactionId: row.transaction_id,
    partitionId: row.partition_id,
    partition: row.partition_name,
    queue: row.queue_name,
    namespace: row.namespace,
    task: row.task,
    consumerGroup: row.group_name,
    errorMessage: row.error_message,
    retryCount: row.retry_count,
    frame: row.frame,
    createdAt: isoMillis(row.created_at),
    failedAt: isoMillis(row.failed_at),
  }
}
