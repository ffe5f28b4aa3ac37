/**
 * Which acks complete everything a lease holds in one partition, as far as the lease book knows. Only a guess at what is
 * worth a try: the statement compares it with the cursor (store/finish-leases.ts).
 */
import type { AckEntryOutcome } from '../../ports/consume-store.ts'
import { NO_OFFSETS } from '../format/offset-set.ts'
import type { EntryWrite } from './ack-write.ts'
import type { HeldRange, LeaseBook, LeasePart } from './lease-book.ts'

/** The write must be prepared. null = it has to be judged message by message. */
export function leaseFinishOf(
  book: LeaseBook,
  { entry, planned }: EntryWrite,
): { part: LeasePart; held: HeldRange } | null {
  if (entry === null || entry.leaseId === null || entry.completed.length !== 2) return null
  if (entry.failed.length > 0 || entry.retry.length > 0 || entry.dead.length > 0) return null
  const part = book.part(entry.leaseId, entry.partitionId)
  if (part === null || part.held === null || part.group !== entry.group) return null
  const { held } = part
  if (entry.completed[0] !== held.position || entry.completed[1] !== held.leasedTo) return null
  // All applied acks of one request commit together, and this statement may apply some of its leases only.
  if (planned.some(({ plan }) => plan.entries.length > 1)) return null
  return { part, held }
}

/** What ack_messages would have said; `ended` = to those who ended the lease. */
export function finishedOutcome({ leasedTo }: HeldRange, ended: boolean): AckEntryOutcome {
  return { state: 'clean', ended, committed: leasedTo, dead: NO_OFFSETS, before: null }
}
