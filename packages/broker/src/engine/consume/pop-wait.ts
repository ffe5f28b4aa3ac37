/**
 * One pop request from arrival to answer.
 *
 * Invariants: it answers exactly once and in time, whatever the database does; at most one claim round of it is under
 * way; what a claim brings after the answer has left is given back by the claimer, never kept. What autoAck completes
 * cannot be given back: then the answer waits for the claim, for as long as a statement may take.
 */

import { type Arrival, nextArrival } from '../arrivals.ts'
import { sharedLeaseId } from '../format/lease-id.ts'
import { Refusal } from '../refusal.ts'
import type { EmptyReason, PopAnswer, PoppedRun, PopRequest } from '../types.ts'
import type { GroupFeed } from './group-feed.ts'

// An empty answer leaves between timeout − min(250 ms, 10 %) and the timeout. Timers come late and hardly ever early, so it
// is aimed at soon after the beginning.
const EARLY_MS_MAX = 200
const EARLY_SHARE = 0.08
// A claim that is under way when the time comes may still be answered until here before the timeout.
const LAST_CALL_MS = 20
// wait=false is answered within 3 s even when the database is silent.
const PROMPT_MS = 2_500
// With autoAck, behind the time above: a statement ends within 2 s or changes nothing; a prompt answer has 3 s.
const LATE_MS = 2_000
const LATE_PROMPT_MS = 400
// An answer is held in memory until the consumer has read it; one claim may go beyond this.
const ANSWER_BYTES_MAX = 32 * 1024 * 1024

export class PopWait implements Arrival {
  readonly arrival = nextArrival()
  readonly request: PopRequest
  readonly arrivedMs: number
  readonly answer: Promise<PopAnswer>
  /** In serving order. */
  feeds: readonly GroupFeed[] = []
  /** More queues match than are looked at: those that had messages when it was looked up. */
  partial = false
  /** Partition requests only. */
  partitionId: string | null = null
  /** A claim round is under way. */
  claiming = false
  done = false
  /** It is over when the claim under way is. */
  ending = false
  /** Whether the requests' feeds are known and the subscription is recorded. */
  ready = false
  /** A partition request claims once whatever the list says. */
  tried = false
  /** The latest reason why a claim brought nothing. */
  lastReason: EmptyReason | null = null
  readonly runs: PoppedRun[] = []
  remaining: number
  partitionsLeft: number
  /** Of the answer; made at the first claim. */
  leaseId = ''
  readonly shared: boolean
  #expiresAtMs: number | null = null
  #bytes = 0
  #timer: NodeJS.Timeout | null = null
  #resolve!: (answer: PopAnswer) => void
  #reject!: (error: unknown) => void
  readonly #onDone: (wait: PopWait) => void
  readonly #emptyReason: (wait: PopWait) => EmptyReason
  readonly #hasRoom: () => boolean
  readonly #signal: AbortSignal
  readonly #onAbort = (): void => this.end()

  constructor(
    request: PopRequest,
    signal: AbortSignal,
    nowMs: number,
    emptyReason: (wait: PopWait) => EmptyReason,
    onDone: (wait: PopWait) => void,
    hasRoom: () => boolean = () => true,
  ) {
    this.request = request
    this.arrivedMs = nowMs
    this.remaining = request.batch
    this.partitionsLeft = request.queue !== null && request.partition !== null ? 1 : request.partitions
    this.shared = this.partitionsLeft > 1
    this.#onDone = onDone
    this.#hasRoom = hasRoom
    this.#emptyReason = emptyReason
    this.#signal = signal
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (signal.aborted) {
      this.finish()
      return
    }
    signal.addEventListener('abort', this.#onAbort, { once: true })
    const early = Math.min(EARLY_MS_MAX, request.timeoutMs * EARLY_SHARE)
    this.#timer = setTimeout(() => this.#timeIsUp(), request.wait ? request.timeoutMs - early : PROMPT_MS)
  }

  get abandoned(): boolean {
    return this.#signal.aborted
  }

  get deadlineMs(): number {
    return this.arrivedMs + (this.request.wait ? this.request.timeoutMs : PROMPT_MS)
  }

  /** The lease id for the next claim; `''` with autoAck. */
  leaseIdFor(make: () => string): string {
    if (this.request.autoAck) return ''
    // The id of a one-partition lease names its partition, so the next partition that is tried needs another one.
    if (!this.shared) this.leaseId = make()
    else if (this.leaseId === '') this.leaseId = sharedLeaseId()
    return this.leaseId
  }

  /**
   * A claim whose answer was lost may have come about, and is given back by its lease id, again and again for seconds: nothing
   * may be claimed under that id any more. What was claimed before goes out with it; otherwise the next claim has another.
   */
  claimLost(): void {
    if (!this.shared) return
    if (this.runs.length > 0) this.finish()
    else this.leaseId = ''
  }

  take(runs: readonly PoppedRun[], count: number, untilMs: number | null): void {
    for (const run of runs) {
      this.runs.push(run)
      this.#bytes += run.segment.frames.length
    }
    this.remaining -= count
    this.partitionsLeft--
    if (untilMs !== null) this.#expiresAtMs = Math.min(this.#expiresAtMs ?? untilMs, untilMs)
  }

  /** Its messages are as many bytes as an answer may hold. */
  get full(): boolean {
    return this.#bytes >= ANSWER_BYTES_MAX
  }

  /** Whether more may be added to what there is. */
  get wantsMore(): boolean {
    return !this.done && !this.ending && this.remaining > 0 && this.partitionsLeft > 0 && !this.full
  }

  /** Asked when a claim is about to leave. Without room for an answer the request ends here, with what it has. */
  mayClaim(): boolean {
    if (this.ending) this.finish()
    if (!this.done && !this.#hasRoom()) {
      if (this.runs.length > 0) this.finish()
      else this.fail(new Refusal('OVERLOADED', 'There is no room for the answer'))
    }
    return !this.done
  }

  /** Its time is over, or its client or the instance goes: it is answered as soon as nothing is lost with that. */
  end(reason?: EmptyReason): void {
    if (!this.claiming || !this.request.autoAck) {
      this.finish(reason)
      return
    }
    if (this.ending || this.done) return
    this.ending = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.finish(), this.request.wait ? LATE_MS : LATE_PROMPT_MS)
  }

  finish(reason?: EmptyReason): void {
    if (this.done) return
    const empty = this.runs.length === 0
    const answer: PopAnswer = {
      runs: this.runs,
      consumerGroup: this.request.consumerGroup,
      leaseId: empty ? '' : this.leaseId,
      leaseExpiresAtMs: empty ? null : this.#expiresAtMs,
      emptyReason: empty ? (reason ?? this.#emptyReason(this)) : null,
    }
    this.#settle()
    this.#resolve(answer)
  }

  fail(error: unknown): void {
    if (this.done) return
    this.#settle()
    this.#reject(error)
  }

  #settle(): void {
    this.done = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#onDone(this)
  }

  #timeIsUp(): void {
    const left = this.deadlineMs - performance.now() - LAST_CALL_MS
    if (!this.claiming || left <= 1) {
      this.end()
      return
    }
    this.#timer = setTimeout(() => this.end(), left)
  }
}
