/**
 * Partitions whose lease has ended here with messages left. Consumers of this instance mostly come back at once, and then
 * nobody else need hear of it; what they have not taken after a moment is told to the other instances, because somebody
 * may be waiting there.
 *
 * Invariants: what one look tells is bounded, however many leases end, and the rest is told by later looks; nothing is watched
 * and no timer runs while nothing is left. It never claims anything.
 */
import type { GroupFeed } from './group-feed.ts'
import type { PartitionState } from './ready-list.ts'

// Longer than a consumer needs to come back, and than a lease that was taken ahead is held; for the others this is how
// much later they hear of it.
const TAKEN_WITHIN_MS = 50
// Partitions told in one look: enough for consumers of other instances until the next look, and a backlog over thousands
// of partitions costs twenty notifications a second at most.
const TOLD_MAX = 64
// About 100 bytes each. What goes beyond it is found by those who wait when they look for themselves.
const WATCHED_MAX = 10_000

export class LeftOver {
  readonly #hint: (queueId: string, partitionId: string) => void
  /** The latest end last. */
  readonly #watched = new Map<PartitionState, GroupFeed>()
  #timer: NodeJS.Timeout | null = null

  constructor(hint: (queueId: string, partitionId: string) => void) {
    this.#hint = hint
  }

  /** A lease that this instance gave has ended in the partition. */
  watch(feed: GroupFeed, partitionId: string): void {
    const state = feed.list.peek(partitionId)
    if (state === undefined || !isLeft(feed, state)) return
    this.#watched.delete(state)
    if (this.#watched.size >= WATCHED_MAX) return
    this.#watched.set(state, feed)
    this.#timer ??= setTimeout(() => this.#look(), TAKEN_WITHIN_MS)
  }

  /** Nobody will take it here any more. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    for (const [state, feed] of this.#watched) if (isLeft(feed, state)) this.#hint(feed.queue!.id, state.id)
    this.#watched.clear()
  }

  #look(): void {
    const nowMs = performance.now()
    let told = 0
    for (const [state, feed] of this.#watched) {
      const left = isLeft(feed, state)
      // A consumer that comes and goes has it ready for a moment each time.
      if (left && nowMs - state.changedAtMs < TAKEN_WITHIN_MS - 1) continue
      this.#watched.delete(state)
      if (!left) continue
      this.#hint(feed.queue!.id, state.id)
      if (++told >= TOLD_MAX) break
    }
    this.#timer = this.#watched.size === 0 ? null : setTimeout(() => this.#look(), TAKEN_WITHIN_MS)
  }
}

/** Ready, or withheld by a retry delay the others do not know of. */
function isLeft(feed: GroupFeed, state: PartitionState): boolean {
  if (feed.queue === null || feed.list.peek(state.id) !== state) return false
  return state.place === 'ready' || (state.place === 'asleep' && state.reason === 'paused')
}
