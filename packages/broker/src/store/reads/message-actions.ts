/** The verbs that take single messages out of turn: delete, bury, retry, purge. Each is one statement and one commit. */
import { createHash } from 'node:crypto'
import { formatOffsets, parseOffsets } from '../../engine/format/offset-set.ts'
import type { MessageStore } from '../../ports/message-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { Sql } from '../sql.ts'
import { deadLetterFilter } from './dead-letter-filter.ts'

type MessageActions = Pick<
  MessageStore,
  'deleteMessage' | 'buryMessages' | 'retryDeadLetters' | 'selectDeadLetters' | 'countDeadLetters' | 'purgeDeadLetters'
>

// Of retry_dead_letters.
const IN_WINDOW = 'QM001'

export function createMessageActions({ admin }: { readonly admin: Sql }): MessageActions {
  return {
    async deleteMessage(partitionId, transactionId, offset, blanked) {
      const [row] = await admin.run<{ outcome: 'deleted' | 'missing' | 'changed' }>(
        'delete_message',
        'SELECT queen.delete_message($1::uuid, $2::text, $3::bigint, $4::bigint, $5::bytea, $6::bytea) AS outcome',
        [
          partitionId,
          transactionId,
          offset,
          blanked?.firstOffset ?? null,
          blanked === null ? null : createHash('sha256').update(blanked.before).digest(),
          blanked?.after ?? null,
        ],
      )
      return row!.outcome
    },

    async buryMessages({ partitionId, queueId, group, offsets, spareLeased, error, messages }) {
      const [row] = await admin.run<{ done: string | null; ended: boolean }>(
        'bury_messages',
        `SELECT done, ended FROM queen.bury_messages($1::uuid, $2::text, $3::int8multirange, $4::boolean, $5::text, $6::uuid,
           $7::bigint[], $8::uuid[], $9::text[], $10::bytea[], $11::timestamptz[])`,
        [
          partitionId,
          group,
          formatOffsets(offsets),
          spareLeased,
          error,
          queueId,
          messages?.map((each) => each.offset) ?? null,
          messages?.map((each) => each.messageId) ?? null,
          messages?.map((each) => each.transactionId) ?? null,
          messages?.map((each) => each.frame) ?? null,
          messages?.map((each) => each.createdAt) ?? null,
        ],
      )
      if (row === undefined || row.done === null) return null
      return { done: parseOffsets(row.done), ended: row.ended }
    },

    async retryDeadLetters(letters) {
      const rows = await admin
        .run<{ partition_id: string; queue_id: string; group_name: string; messages: string }>(
          'retry_dead_letters',
          'SELECT partition_id, queue_id, group_name, messages FROM queen.retry_dead_letters($1::bigint[], $2::bytea[])',
          [letters.map((each) => each.id), letters.map((each) => each.key)],
        )
        .catch((error: unknown) => {
          if (error instanceof StoreError && error.sqlState === IN_WINDOW) return null
          throw error
        })
      if (rows === null) return null
      return rows.map((row) => ({
        partitionId: row.partition_id,
        queueId: row.queue_id,
        group: row.group_name,
        messages: Number(row.messages),
      }))
    },

    async selectDeadLetters(filter, limit) {
      const { used, from, values } = deadLetterFilter(filter)
      const rows = await admin.run<{ id: string; transaction_id: string }>(
        `select_dead_letters ${used}`,
        `SELECT d.id, d.transaction_id ${from} ORDER BY d.failed_at, d.id LIMIT $${values.length + 1}::int`,
        [...values, limit],
      )
      return rows.map((row) => ({ id: row.id, transactionId: row.transaction_id }))
    },

    async countDeadLetters(filter) {
      const { used, from, values } = deadLetterFilter(filter)
      const [row] = await admin.run<{ total: string }>(
        `count_dead_letters_of ${used}`,
        `SELECT count(*) AS total ${from}`,
        values,
      )
      return Number(row!.total)
    },

    async purgeDeadLetters(filter, limit) {
      const { used, from, values } = deadLetterFilter(filter)
      const [row] = await admin.run<{ deleted: string }>(
        `purge_dead_letters ${used}`,
        // What somebody else is taking out at this moment is left to them.
        `WITH old AS MATERIALIZED (
           SELECT d.id ${from} ORDER BY d.failed_at, d.id LIMIT $${values.length + 1}::int FOR UPDATE OF d SKIP LOCKED
         ), gone AS (DELETE FROM queen.dead_letters x USING old o WHERE x.id = o.id RETURNING 1)
         SELECT count(*) AS deleted FROM gone`,
        [...values, limit],
      )
      return Number(row!.deleted)
    },
  }
}
