/**
 * Acks: resolved, written together with what arrives in the same tick, repeated while the database is in trouble.
 *
 *   a whole lease, known to be ──────────────────────────────────┐
 *   request ─▶ resolved ─▶ everything one lease holds, completed? ──yes──▶ lease ended by a cheap statement ─▶ answered
 *                              │ no                                             │ it was not as believed
 *                              └───────────────▶ judged message by message ◀────┘
 *
 * Invariants: all acks of one request are in one statement and commit together; a call whose outcome is unknown is
 * repeated, which the lease makes harmless; within the deadline there is an answer, after it a 503.
 */
import type { AckEntryOutcome, ConsumeStore } from '../../ports/consume-store.ts'
import type { Log } from '../../ports/log.ts'
import { StoreError } from '../../ports/store-error.ts'
import { BatchTiming } from '../batch-timing.ts'
import type { LeasesAhead } from '../consume/leases-ahead.ts'
import type { SegmentCache } from '../consume/segment-cache.ts'
import { hasOffset } from '../format/offset-set.ts'
import type { Catalog } from '../queues/catalog.ts'
import { StatementGate } from '../statement-gate.ts'
import { toRefusal } from '../store-refusal.ts'
import type { AckItem, AckResult, DeliveredLease } from '../types.ts'
import { type AckPlan, accepted } from './ack-plan.ts'
import { planOfAll, RESOLVE_MS_MAX, resolveAcks } from './ack-resolve.ts'
import { combine, type EntryWrite, prepareWrite, settle } from './ack-write.ts'
import type { LeaseBook } from './lease-book.ts'
import { LeaseFinisher, type WholeLease } from './lease-finisher.ts'

export interface AckParts {
  readonly store: ConsumeStore
  readonly catalog: Pick<Catalog, 'partitionsById'>
  readonly log: Log
  readonly cache: SegmentCache
  readonly book: LeaseBook
  readonly ahead: Pick<LeasesAhead, 'propose' | 'taken' | 'lost'>
  /** A lease ended in a partition; `leaseId` null when it is not known which. */
  readonly onLeaseEnded: (end: LeaseEnd) => void
}

export interface LeaseEnd {
  readonly queueId: string
  readonly queueName: string
  readonly group: string
  readonly partitionId: string
  readonly leaseId: string | null
  readonly committed: number
  readonly pauseMs: number
}

export interface AckStats {
  readonly ackStatements: number
  /** Of them, those that ended whole leases; and how many leases that was. */
  readonly finishStatements: number
  readonly finishedLeases: number
}

interface Pending {
  readonly plan: AckPlan
  readonly deadlineMs: number
  /** The outcome of an earlier try is not known. */
  again: boolean
  answered: boolean
  resolve(): void
  reject(error: unknown): void
}

interface Whole extends WholeLease {
  isTold: boolean
  /** The same message by message, for the same caller. */
  readonly judged: () => Pending
}

// Every request is answered within 10 s; this leaves room for one last statement that runs into its limit.
const DEADLINE_MS = 8_000
// Entries of one statement; a request is never split, so one may be larger.
const ENTRIES_MAX = 1_000
const RETRY_FIRST_MS = 20
const RETRY_LAST_MS = 500

export class Acker {
  readonly #parts: AckParts
  #pending: Pending[] = []
  #wholes: Whole[] = []
  readonly #gate = new StatementGate(() => this.#flush())
  readonly #timing = new BatchTiming(() => this.#flush())
  /** Failures in a row; spaces the repeats. */
  #tries = 0
  readonly #finisher: LeaseFinisher
  #ackStatements = 0

  constructor(parts: AckParts) {
    this.#parts = parts
    this.#finisher = new LeaseFinisher(parts)
  }

  stats(): AckStats {
    const { leases, statements } = this.#finisher
    return {
      ackStatements: this.#ackStatements + statements,
      finishStatements: statements,
      finishedLeases: leases,
    }
  }

  /** Results in the order of the items. @throws Refusal DATABASE_UNAVAILABLE */
  async ackMessages(items: readonly AckItem[]): Promise<AckResult[]> {
    if (items.length === 0) return []
    const nowMs = performance.now()
    const plan = await this.#resolve(items, nowMs + RESOLVE_MS_MAX)
    if (plan.entries.length === 0) return plan.results
    await new Promise<void>((resolve, reject) => {
      this.#submit({ plan, deadlineMs: nowMs + DEADLINE_MS, again: false, answered: false, resolve, reject })
    })
    return plan.results
  }

  /** null = everything in it is completed by this; else the results of the items, one by one. @throws Refusal DATABASE_UNAVAILABLE */
  async completeLease(lease: DeliveredLease, items: () => readonly AckItem[]): Promise<AckResult[] | null> {
    const deadlineMs = performance.now() + DEADLINE_MS
    const part = this.#parts.book.whole(lease.leaseId, lease.partition.id)
    if (part !== lease) return this.ackMessages(items())
    return new Promise((resolve, reject) => {
      const judged = (): Pending => {
        // By what was delivered: the book may have forgotten it, and the database the lease, if it was ended after all.
        const plan = planOfAll(part)
        return { plan, deadlineMs, again: false, answered: false, resolve: () => resolve(plan.results), reject }
      }
      const whole: Whole = {
        part,
        isTold: false,
        judged,
        tell: (told) => {
          whole.isTold = true
          if (told === 'ended') resolve(null)
          else if (told === 'repeated')
            resolve(Array.from({ length: part.messages }, () => accepted(part.partition, false)))
          else this.#submit(judged())
        },
      }
      this.#wholes.push(whole)
      this.#timing.schedule()
    })
  }

  async #resolve(items: readonly AckItem[], deadlineMs: number): Promise<AckPlan> {
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(RETRY_LAST_MS, delayMs * 2)) {
      try {
        return await resolveAcks(this.#parts, items, [], deadlineMs)
      } catch (error) {
        if (!isTransient(error) || performance.now() + delayMs >= deadlineMs) throw toRefusal(error)
        await sleep(delayMs)
      }
    }
  }

  #submit(pending: Pending): void {
    this.#pending.push(pending)
    this.#timing.schedule()
  }

  #flush(): void {
    while (this.#pending.length + this.#wholes.length > 0 && this.#gate.isOpen()) {
      const taken: Pending[] = []
      let at = 0
      // First tries and repeats are judged differently, so they travel apart.
      const again = this.#pending[0]?.again ?? false
      const wholes = again ? [] : this.#wholes.splice(0, ENTRIES_MAX)
      let entries = wholes.length
      while (at < this.#pending.length && entries < ENTRIES_MAX && this.#pending[at]!.again === again) {
        const next = this.#pending[at++]!
        taken.push(next)
        entries += next.plan.entries.length
      }
      this.#pending = this.#pending.slice(at)
      this.#timing.left(taken.length + wholes.length)
      void this.#send(taken, again, wholes)
    }
  }

  async #send(taken: readonly Pending[], again: boolean, wholes: readonly Whole[] = []): Promise<void> {
    this.#gate.started()
    try {
      await this.#write(taken, again, wholes)
      this.#tries = 0
      for (const pending of taken) answer(pending)
    } catch (error) {
      const untold = wholes.filter(({ isTold }) => !isTold).map(({ judged }) => judged())
      const left = [...taken.filter(({ answered }) => !answered), ...untold]
      this.#failed(left, error, taken.length > 1 || wholes.length > 0)
    } finally {
      this.#gate.ended()
      this.#flush()
    }
  }

  async #write(taken: readonly Pending[], again: boolean, wholes: readonly Whole[]): Promise<void> {
    let writes = combine(taken.map(({ plan }) => plan))
    for (const write of writes) await prepareWrite(this.#parts, write)
    // What is repeated has to be told what the first try did, so it is judged message by message.
    if (!again) writes = await this.#finisher.finish(writes, wholes)
    if (writes.length === 0) return
    // What is applied must not be tried again with what follows.
    const left = new Set(writes.flatMap(({ planned }) => planned.map(({ plan }) => plan)))
    for (const pending of taken) if (!left.has(pending.plan)) answer(pending)
    this.#ackStatements++
    const outcomes = await this.#parts.store.ackMessages(writes.map(({ entry }) => entry!))
    // Frames take another statement; should it fail, the repeat has to be told what this one has done.
    if (outcomes.some(({ state }) => state === 'frames')) for (const pending of taken) pending.again = true
    for (let i = 0; i < writes.length; i++) {
      const write = writes[i]!
      let outcome = outcomes[i]!
      if (outcome.state === 'frames') outcome = await writeWithFrames(this.#parts, this.#parts.store, write, outcome)
      settle(write, outcome, again)
      const end = leaseEndOf(write, outcome, again)
      if (end !== null) this.#parts.onLeaseEnded(end)
    }
  }

  /** @param mayDoAlone what was refused was more, or other, than each of them by itself */
  #failed(taken: readonly Pending[], error: unknown, mayDoAlone: boolean): void {
    const nowMs = performance.now()
    const unknown = error instanceof StoreError && error.outcomeUnknown
    const transient = isTransient(error)
    if (!transient && mayDoAlone) {
      // One of them is to blame; alone, the others succeed.
      for (const pending of taken) void this.#send([pending], pending.again)
      return
    }
    if (!transient) this.#parts.log.error({ err: error }, 'An ack failed')
    const delayMs = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** Math.min(5, this.#tries++))
    for (const pending of taken) {
      pending.again ||= unknown
      if (!transient || nowMs + delayMs >= pending.deadlineMs)
        pending.reject(toRefusal(pending.again ? doubtful(error) : error))
      else setTimeout(() => this.#submit(pending), delayMs)
    }
  }
}

/** Once more with the frames the database found to be needed. @throws StoreError */
export async function writeWithFrames(
  parts: AckParts,
  store: Pick<ConsumeStore, 'ackMessages'>,
  write: EntryWrite,
  outcome: AckEntryOutcome,
): Promise<AckEntryOutcome> {
  const entry = await prepareWrite(parts, write, outcome.dead)
  const [second] = await store.ackMessages([entry])
  return second!
}

/** What the ready lists and the other instances have to hear; null when nothing ended. */
export function leaseEndOf(write: EntryWrite, outcome: AckEntryOutcome, again: boolean): LeaseEnd | null {
  if (!outcome.ended && !(again && outcome.state === 'ended')) return null
  const { partition, group, leaseId } = write.planned[0]!.entry
  const { id, name, options } = partition.queue
  const failed = write.entry!.failed
  let paused = false
  for (let i = 0; i < failed.length && !paused; i += 2) paused = !hasOffset(outcome.dead, failed[i]!)
  return {
    queueId: id,
    queueName: name,
    group,
    partitionId: partition.id,
    leaseId,
    committed: outcome.committed,
    pauseMs: paused ? options.retryDelay : 0,
  }
}

function answer(pending: Pending): void {
  pending.answered = true
  pending.resolve()
}

/** An earlier try may have been committed, whatever the last one ended with. */
function doubtful(error: unknown): unknown {
  if (!(error instanceof StoreError) || error.outcomeUnknown) return error
  return new StoreError(error.failure, error.message, { outcomeUnknown: true, sqlState: error.sqlState, cause: error })
}

function isTransient(error: unknown): boolean {
  return error instanceof StoreError && error.transient
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
