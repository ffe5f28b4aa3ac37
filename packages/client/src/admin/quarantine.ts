/** Retrying or dropping quarantined records one by one: one that is refused again does not stop the others. */

import { QueenServerError, QueenUsageError } from '../errors/classes.ts'
import { isRecord } from '../errors/from-answer.ts'
import { isQueenError } from '../errors/queen-error.ts'
import { segment } from '../transport/path.ts'
import type { AdminOptions, QuarantineList } from '../types/admin.ts'
import type {
  QuarantineFilter,
  QuarantineOutcome,
  QuarantineOverrides,
  QuarantineRecord,
} from '../types/maintenance.ts'
import type { AdminSend } from './request.ts'

export const QUARANTINE_PATH = '/api/v1/system/buffers/quarantine'
const PAGE_RECORDS = 100

export async function changeQuarantine(
  send: AdminSend,
  change: 'drop' | { readonly retryAs: QuarantineOverrides },
  filter: QuarantineFilter,
  options: AdminOptions = {},
): Promise<QuarantineOutcome> {
  const outcome: QuarantineOutcome = { matched: 0, done: 0, failed: [] }
  for await (const id of recordIds(send, filter, options)) {
    outcome.matched++
    const path = `${QUARANTINE_PATH}/${segment(id)}`
    try {
      if (change === 'drop') await send('dropQuarantine', { method: 'DELETE', path }, options)
      else await send('retryQuarantine', { method: 'POST', path: `${path}/retry`, body: change.retryAs }, options)
      outcome.done++
    } catch (error) {
      // A broker that is away, or a token without the right, would say the same to every other record.
      if (!isQueenError(error) || error.retryable || error.status === undefined || error.status < 404) {
        if (!(isQueenError(error) && error.status === 400)) throw error
      }
      outcome.failed.push({ id, error: error.message, code: error.code })
    }
  }
  return outcome
}

async function* recordIds(send: AdminSend, filter: QuarantineFilter, options: AdminOptions): AsyncGenerator<string> {
  if ('id' in filter) return yield filter.id
  if ('ids' in filter) return yield* filter.ids
  if (filter.queue === undefined && filter.instance === undefined && filter.all !== true) {
    throw new QueenUsageError('A quarantine filter needs id, ids, queue, instance, or all: true')
  }
  const { queue, instance } = filter
  let after: string | null = null
  do {
    // By key, not by offset: the records that are done leave the list while it is read.
    const page: QuarantineList<QuarantineRecord> = await send(
      'listQuarantine',
      { path: QUARANTINE_PATH, query: { queue, instance, limit: PAGE_RECORDS, after } },
      options,
    )
    if (!isRecord(page) || !Array.isArray(page.records)) {
      throw new QueenServerError('The broker did not answer with a list of records', { code: 'INVALID_ANSWER' })
    }
    for (const record of page.records) yield record.id
    const next: string | null = page.pagination?.next ?? null
    // A page that leads nowhere would be asked for ever.
    after = page.records.length === 0 || next === after ? null : next
  } while (after !== null)
}
