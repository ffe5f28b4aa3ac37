/**
 * Claims of many requests, sent together: everything that arrives while the statements under way are busy goes into
 * the next one. No timer: an idle instance sends a lone claim at once.
 *
 * Invariants: a bounded number of statements is under way; claims of one request travel in one statement; a segment
 * that one claim is reading is not read by another at the same time: the other waits and finds it cached.
 */
import type { ClaimCandidate, ClaimOutcome, ConsumeStore } from '../ports/consume-store.ts'
import type { GroupFeed } from './group-feed.ts'
import { partitionLeaseId } from './lease-id.ts'
import type { PopWait } from './pop-wait.ts'
import type { PartitionState } from './ready-list.ts'
import type { SegmentCache } from './segment-cache.ts'
import type { DecodedSegment } from './types.ts'

export interface Claim {
  readonly feed: GroupFeed
  readonly state: PartitionState
}

/** The claims of one request, in serving order. */
export interface ClaimRound {
  readonly wait: PopWait
  readonly claims: readonly Claim[]
}

export interface ClaimResult {
  readonly claim: Claim
  readonly outcome: ClaimOutcome
  /** Segments whose bodies the statement left out. */
  readonly cached: readonly DecodedSegment[]
}

export interface ClaimHandlers {
  /** Makes the entries of these partitions known; those that do not exist stay without. */
  resolve(states: readonly PartitionState[]): Promise<void>
  /** Called once for each round, with a result for each claim. Must not throw. */
  results(round: ClaimRound, results: readonly ClaimResult[]): void
  failure(rounds: readonly ClaimRound[], error: unknown): void
}

const UNUSED: ClaimOutcome = { state: 'unused', position: -1, nextOffset: -1, wakeMs: null }

// Two keep the database busy while this process works on an answer; more only make smaller batches.
const STATEMENTS_MAX = 2
// Some milliseconds of work for one statement; a larger one would make small pops wait behind it.
const CLAIMS_MAX = 256
// Body bytes of one statement, shared among its claims. Every claim may exceed its share by one segment.
const STATEMENT_BYTES_MAX = 32 * 1024 * 1024
const CLAIM_BYTES_MIN = 1024 * 1024
// Without a known position the cached run that begins the partition is offered, at most this many messages of it.
const GUESS_MESSAGES = 10_000

export class ClaimBatch {
  readonly #store: ConsumeStore
  readonly #cache: SegmentCache
  readonly #handlers: ClaimHandlers
  /** autoAck commits durably, leases need not: they do not share statements. */
  #pending: { leases: ClaimRound[]; autoAck: ClaimRound[] } = { leases: [], autoAck: [] }
  #turn: 'leases' | 'autoAck' = 'leases'
  #underWay = 0
  #scheduled = false
  /** Partitions being read, by whom, and the rounds that wait for that. */
  readonly #reading = new Map<string, { readonly reader: ClaimRound; readonly waiting: ClaimRound[] }>()
  /** One at a time while the database is in doubt. */
  statementsMax = STATEMENTS_MAX
  statements = 0
  claims = 0

  constructor(store: ConsumeStore, cache: SegmentCache, handlers: ClaimHandlers) {
    this.#store = store
    this.#cache = cache
    this.#handlers = handlers
  }

  submit(round: ClaimRound): void {
    this.#pending[round.wait.request.autoAck ? 'autoAck' : 'leases'].push(round)
    this.#schedule()
  }

  get idle(): boolean {
    return this.#underWay === 0 && this.#pending.leases.length === 0 && this.#pending.autoAck.length === 0
  }

  /** After the current batch of I/O events, so that requests that arrived together are claimed together. */
  #schedule(): void {
    if (this.#scheduled || this.#underWay >= STATEMENTS_MAX) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#underWay < Math.min(this.statementsMax, STATEMENTS_MAX)) {
      const other = this.#turn === 'leases' ? 'autoAck' : 'leases'
      const kind = this.#pending[this.#turn].length > 0 ? this.#turn : other
      const rounds = this.#take(kind)
      if (rounds.length === 0) return
      this.#turn = kind === 'leases' ? 'autoAck' : 'leases'
      void this.#send(rounds)
    }
  }

  #take(kind: 'leases' | 'autoAck'): ClaimRound[] {
    const pending = this.#pending[kind]
    const taken: ClaimRound[] = []
    let at = 0
    let claims = 0
    while (at < pending.length && claims < CLAIMS_MAX) {
      const round = pending[at++]!
      if (round.wait.done) {
        this.#handlers.results(
          round,
          round.claims.map((claim) => ({ claim, outcome: UNUSED, cached: [] })),
        )
        continue
      }
      if (this.#mustWait(round)) continue
      taken.push(round)
      claims += round.claims.length
    }
    this.#pending[kind] = at === pending.length ? [] : pending.slice(at)
    return taken
  }

  /** Parks a round whose partition somebody reads at the moment, unless all it needs is cached. */
  #mustWait(round: ClaimRound): boolean {
    if (round.claims.length !== 1) return false
    const { state } = round.claims[0]!
    if (this.#covered(state, round.wait.remaining)) return false
    const reading = this.#reading.get(state.id)
    if (reading === undefined) {
      this.#reading.set(state.id, { reader: round, waiting: [] })
      return false
    }
    reading.waiting.push(round)
    return true
  }

  #covered(state: PartitionState, want: number): boolean {
    if (state.position < 0) return false
    const run = this.#cache.run(state.id, state.position, want)
    const last = run[run.length - 1]
    if (last === undefined) return false
    const end = state.position + want
    return last.lastOffset + 1 >= (state.nextOffset < 0 ? end : Math.min(end, state.nextOffset))
  }

  async #send(rounds: readonly ClaimRound[]): Promise<void> {
    const candidates: ClaimCandidate[] = []
    const cached: DecodedSegment[][] = []
    rounds.forEach(({ wait, claims }, request) => {
      const autoAck = wait.request.autoAck
      for (const { feed, state } of claims) {
        const from = state.position >= 0 ? state.position : this.#cache.lowest(state.id)
        const run =
          from < 0 ? [] : this.#cache.run(state.id, from, state.position >= 0 ? wait.remaining : GUESS_MESSAGES)
        const { leaseTime, delayedProcessing, windowBuffer } = feed.queue!.options
        cached.push(run)
        candidates.push({
          partitionId: state.id,
          group: feed.group,
          request,
          want: wait.remaining,
          leaseId: autoAck ? null : wait.leaseIdFor(() => partitionLeaseId(state.id)),
          shared: wait.shared,
          leaseMs: (leaseTime === 0 ? 60 : leaseTime) * 1000,
          delayMs: delayedProcessing * 1000,
          windowMs: windowBuffer * 1000,
          cachedFrom: run[0]?.firstOffset ?? 0,
          cachedTo: run.length === 0 ? 0 : run[run.length - 1]!.lastOffset + 1,
          start: state.cursorKnown ? null : feed.start,
        })
      }
    })
    this.#underWay++
    this.statements++
    this.claims += candidates.length
    const bytesMax = Math.max(CLAIM_BYTES_MIN, Math.floor(STATEMENT_BYTES_MAX / candidates.length))
    try {
      const unknown = rounds
        .flatMap(({ claims }) => claims.map(({ state }) => state))
        .filter(({ entry }) => entry === null)
      if (unknown.length > 0) await this.#handlers.resolve(unknown)
      const outcomes = await this.#store.popMessages(candidates, bytesMax)
      this.#underWay--
      let at = 0
      for (const round of rounds) {
        const results = round.claims.map((claim) => {
          const result = { claim, outcome: outcomes[at]!, cached: cached[at]! }
          at++
          return result
        })
        this.#handlers.results(round, results)
      }
    } catch (error) {
      this.#underWay--
      this.#handlers.failure(rounds, error)
    }
    this.#doneReading(rounds)
    this.#flush()
  }

  #doneReading(rounds: readonly ClaimRound[]): void {
    for (const round of rounds) {
      if (round.claims.length !== 1) continue
      const { id } = round.claims[0]!.state
      const reading = this.#reading.get(id)
      if (reading?.reader !== round) continue
      this.#reading.delete(id)
      for (const parked of reading.waiting)
        this.#pending[parked.wait.request.autoAck ? 'autoAck' : 'leases'].push(parked)
    }
  }
}
