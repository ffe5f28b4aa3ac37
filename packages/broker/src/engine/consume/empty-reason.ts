/**
 * Why a pop has nothing to answer, as far as this instance knows: told to people, never used to decide anything.
 */

import type { EmptyReason } from '../types.ts'
import type { PopWait } from './pop-wait.ts'

export function emptyReason(wait: PopWait, paused: boolean, databaseInDoubt: boolean): EmptyReason {
  if (paused) return 'paused'
  if (databaseInDoubt || !wait.ready) return 'database_unavailable'
  const [feed] = wait.feeds
  if (wait.request.queue !== null && feed?.queue === null) return 'partition_not_found'
  if (wait.request.partition !== null) {
    return wait.partitionId === null ? 'partition_not_found' : (wait.lastReason ?? 'no_message')
  }
  for (const each of wait.feeds) {
    const reason = each.list.sleepReason()
    if (reason === 'leased') return 'lease_held'
    if (reason === 'window') return 'window_buffer'
  }
  return 'no_message'
}
