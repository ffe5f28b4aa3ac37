/**
 * Ends leases of which everything is completed, by the cheap statement (store/finish-leases.ts), and takes the next ones with
 * it. What is not as believed is left to those who judge message by message.
 */
import type { ConsumeStore, FinishOutcome, LeaseFinish } from '../../ports/consume-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { AheadLease, LeasesAhead } from '../consume/leases-ahead.ts'
import type { LeaseEnd } from './ack.ts'
import { type EntryWrite, settle } from './ack-write.ts'
import type { HeldRange, LeaseBook, LeasePart } from './lease-book.ts'
import { finishedOutcome, leaseFinishOf } from './lease-finish.ts'

/**
 * What became of a request: it ended the lease; it came together with the one that did, and nothing was left for it to
 * end; it was not as believed, and has to be judged message by message.
 */
export type Told = 'ended' | 'repeated' | 'unlike'

/** A request to complete everything a lease holds in one partition. */
export interface WholeLease {
  readonly part: LeasePart
  /** Called at most once. */
  readonly tell: (told: Told) => void
}

export interface LeaseFinisherParts {
  readonly store: Pick<ConsumeStore, 'finishLeases'>
  readonly book: LeaseBook
  readonly ahead: Pick<LeasesAhead, 'propose' | 'taken' | 'lost'>
  readonly onLeaseEnded: (end: LeaseEnd) => void
}

interface Finishing {
  readonly part: LeasePart
  readonly finish: LeaseFinish
  readonly next: AheadLease | null
  /** Whoever waits for it. */
  readonly tell: ((told: Told) => void)[]
}

export class LeaseFinisher {
  readonly #parts: LeaseFinisherParts
  statements = 0
  leases = 0

  constructor(parts: LeaseFinisherParts) {
    this.#parts = parts
  }

  /** Answers `wholes` and settles the writes it can; returns those that are left to be judged. @throws StoreError */
  async finish(writes: readonly EntryWrite[], wholes: readonly WholeLease[]): Promise<EntryWrite[]> {
    const { book } = this.#parts
    // No two of a statement may mean the same cursor.
    const all = new Map<LeasePart, Finishing>()
    const rest: EntryWrite[] = []
    for (const { part, tell } of wholes) {
      const { held, leaseId, partition } = part
      if (held === null || book.part(leaseId, partition.id) !== part) {
        // Another request has ended it meanwhile.
        tell('unlike')
        continue
      }
      const finishing = all.get(part) ?? this.#finishing(part, held)
      finishing.tell.push(tell)
      all.set(part, finishing)
    }
    for (const write of writes) {
      const found = leaseFinishOf(book, write)
      if (found === null) {
        rest.push(write)
        continue
      }
      const finishing = all.get(found.part) ?? this.#finishing(found.part, found.held)
      finishing.tell.push((told) => {
        if (told === 'unlike') rest.push(write)
        else settle(write, finishedOutcome(finishing.finish, told === 'ended'), false)
      })
      all.set(found.part, finishing)
    }
    if (all.size > 0) await this.#send([...all.values()])
    return rest
  }

  #finishing(part: LeasePart, held: HeldRange): Finishing {
    const { group, leaseId, partition } = part
    const next = this.#parts.ahead.propose(part)
    return { part, next, finish: { partitionId: partition.id, group, leaseId, ...held, next }, tell: [] }
  }

  async #send(all: readonly Finishing[]): Promise<void> {
    const { ahead, store } = this.#parts
    this.statements++
    let outcomes: (FinishOutcome | null)[]
    try {
      outcomes = await store.finishLeases(all.map(({ finish }) => finish))
    } catch (error) {
      if (error instanceof StoreError && error.outcomeUnknown)
        for (const { next } of all) if (next !== null) ahead.lost(next)
      throw error
    }
    for (let i = 0; i < all.length; i++) {
      const outcome = outcomes[i] ?? null
      // One of them ended it: the last, as where acks of several requests are judged message by message.
      const last = all[i]!.tell.at(-1)
      for (const tell of all[i]!.tell) tell(outcome === null ? 'unlike' : tell === last ? 'ended' : 'repeated')
      if (outcome !== null) this.#ended(all[i]!, outcome)
    }
  }

  #ended({ finish, next, part }: Finishing, outcome: FinishOutcome): void {
    const { ahead, book, onLeaseEnded } = this.#parts
    const { group, leaseId, partition } = part
    this.leases++
    if (next !== null && outcome.next !== null) {
      book.end(leaseId, partition.id)
      ahead.taken(next, outcome.next)
      return
    }
    const { id: queueId, name: queueName } = partition.queue
    const end = { queueId, queueName, group, partitionId: partition.id, leaseId }
    onLeaseEnded({ ...end, committed: finish.leasedTo, pauseMs: 0 })
  }
}
