/**
 * Claims of many requests, sent together: everything that arrives while the statements under way are busy goes into
 * the next one. No timer: an idle instance sends a lone claim at once.
 *
 *   round ─▶ all in memory? ──yes──▶ known claim ──taken──▶ result
 *               │ no                     │ cursor is not where it was believed
 *               ▼                        ▼
 *            somebody reads it? ──no──▶ full claim ──▶ result       yes: waits for the read, then again from the start
 *
 * Invariants: a bounded number of statements is under way; claims of one request travel in one statement; a segment
 * that is being read is not read by another at the same time: the other waits and finds it cached.
 */
import type { ClaimCandidate, Claimed, ClaimOutcome, ConsumeStore } from '../../ports/consume-store.ts'
import { BatchTiming } from '../batch-timing.ts'
import { partitionLeaseId } from '../format/lease-id.ts'
import { StatementGate } from '../statement-gate.ts'
import type { DecodedSegment } from '../types.ts'
import type { GroupFeed } from './group-feed.ts'
import { claimedAsKnown, type KnownRound, knownClaim, knownRound } from './known-claims.ts'
import type { PopWait } from './pop-wait.ts'
import { ReadAhead } from './read-ahead.ts'
import type { PartitionState } from './ready-list.ts'
import type { SegmentCache } from './segment-cache.ts'

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

export interface ClaimStats {
  readonly claimStatements: number
  /** Of them, those that claimed what was in memory; and how many claims that was. */
  readonly knownClaimStatements: number
  readonly knownClaims: number
  readonly readAheadStatements: number
}

export interface ClaimHandlers {
  /** Makes the entries of these partitions known; those that do not exist stay without. */
  resolve(states: readonly PartitionState[]): Promise<void>
  /** Called once for each round that PostgreSQL answered, with a result for each claim. Must not throw. */
  results(round: ClaimRound, results: readonly ClaimResult[]): void
  /** Called instead for a round that was never sent. */
  dropped(round: ClaimRound, results: readonly ClaimResult[]): void
  failure(rounds: readonly ClaimRound[], error: unknown): void
}

const KINDS = ['leases', 'autoAck'] as const
type Kind = (typeof KINDS)[number]

const UNUSED: ClaimOutcome = { state: 'unused', position: -1, nextOffset: -1, wakeMs: null }

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
  readonly #ahead: ReadAhead
  /** autoAck commits durably, leases need not: they do not share statements. */
  readonly #pending: Record<Kind, ClaimRound[]> = { leases: [], autoAck: [] }
  readonly #gates: Record<Kind, StatementGate>
  readonly #timing = new BatchTiming(() => this.#flush())
  readonly #underWay = new Set<Promise<void>>()
  /** Partitions that a full claim reads, and which. */
  readonly #reading = new Map<string, ClaimRound>()
  /** Rounds that wait until their partition is no longer being read. */
  readonly #parked = new Map<string, ClaimRound[]>()
  /** One at a time while the database is in doubt. */
  statementsMax = Number.POSITIVE_INFINITY
  #statements = 0
  #knownStatements = 0
  #knownClaims = 0

  constructor(store: ConsumeStore, cache: SegmentCache, handlers: ClaimHandlers) {
    this.#store = store
    this.#cache = cache
    this.#handlers = handlers
    const gate = (): StatementGate => new StatementGate(() => this.#flush())
    this.#gates = { leases: gate(), autoAck: gate() }
    this.#ahead = new ReadAhead(store, cache, (partitionIds) => {
      for (const id of partitionIds) this.#unpark(id)
      this.#flush()
    })
  }

  stats(): ClaimStats {
    return {
      claimStatements: this.#statements,
      knownClaimStatements: this.#knownStatements,
      knownClaims: this.#knownClaims,
      readAheadStatements: this.#ahead.statements,
    }
  }

  /** Messages were claimed by another statement: what is read ahead follows. */
  claimedElsewhere(state: PartitionState, claim: Claimed): void {
    this.#ahead.claimed(state, claim)
  }

  submit(round: ClaimRound): void {
    this.#pending[kindOf(round)].push(round)
    this.#timing.schedule()
  }

  #flush(): void {
    for (const kind of KINDS) {
      while (this.#pending[kind].length > 0 && this.#mayStart(kind)) {
        const { known, full } = this.#take(kind)
        this.#timing.left(known.length + full.length)
        if (known.length > 0) this.#follow(this.#sendKnown(kind, known))
        if (full.length > 0) this.#follow(this.#sendFull(kind, full))
      }
    }
  }

  #follow(statement: Promise<void>): void {
    this.#underWay.add(statement)
    void statement.finally(() => this.#underWay.delete(statement))
  }

  /** Resolves when no statement is under way any more; whoever still waits for one sends the next. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all([...this.#underWay])
  }

  #mayStart(kind: Kind): boolean {
    const { leases, autoAck } = this.#gates
    if (leases.underWay + autoAck.underWay >= this.statementsMax) return false
    return this.#gates[kind].isOpen()
  }

  #take(kind: Kind): { known: KnownRound[]; full: ClaimRound[] } {
    const pending = this.#pending[kind]
    const known: KnownRound[] = []
    const full: ClaimRound[] = []
    let at = 0
    let claims = 0
    while (at < pending.length && claims < CLAIMS_MAX) {
      const round = pending[at++]!
      // The request has gone, or its queue, or nobody could take its answer.
      if (!round.wait.mayClaim() || round.claims.some(({ feed }) => feed.queue === null)) {
        this.#handlers.dropped(
          round,
          round.claims.map((claim) => ({ claim, outcome: UNUSED, cached: [] })),
        )
        continue
      }
      const inMemory = knownRound(this.#cache, round)
      if (inMemory !== null) known.push(inMemory)
      else if (this.#mustWait(round)) continue
      else full.push(round)
      claims += round.claims.length
    }
    this.#pending[kind] = at === pending.length ? [] : pending.slice(at)
    return { known, full }
  }

  /** Parks a round whose partition somebody reads at the moment, unless all it needs is cached. */
  #mustWait(round: ClaimRound): boolean {
    if (round.claims.length !== 1) return false
    const { state } = round.claims[0]!
    if (this.#covered(state, round.wait.remaining)) return false
    if (!this.#reading.has(state.id) && !this.#ahead.reading(state.id)) {
      this.#reading.set(state.id, round)
      return false
    }
    const parked = this.#parked.get(state.id)
    if (parked === undefined) this.#parked.set(state.id, [round])
    else parked.push(round)
    return true
  }

  #covered(state: PartitionState, want: number): boolean {
    if (state.position < 0) return false
    const end = state.nextOffset < 0 ? state.position + want : Math.min(state.position + want, state.nextOffset)
    return end > state.position && this.#cache.coveredTo(state.id, state.position, end) >= end
  }

  async #sendKnown(kind: Kind, known: readonly KnownRound[]): Promise<void> {
    const claims = known.map(knownClaim)
    this.#gates[kind].started()
    this.#statements++
    this.#knownStatements++
    try {
      const outcomes = await this.#store.claimKnown(claims)
      this.#gates[kind].ended()
      known.forEach(({ round, run }, i) => {
        const [claim] = round.claims
        const outcome = outcomes[i]
        if (outcome === null || outcome === undefined) {
          claim!.state.settled = false
          this.#pending[kind].push(round)
          return
        }
        this.#knownClaims++
        this.#deliver(round, [{ claim: claim!, outcome: claimedAsKnown(claims[i]!, outcome), cached: run }])
      })
    } catch (error) {
      this.#gates[kind].ended()
      this.#handlers.failure(
        known.map(({ round }) => round),
        error,
      )
    }
    this.#flush()
  }

  async #sendFull(kind: Kind, rounds: readonly ClaimRound[]): Promise<void> {
    const { candidates, cached } = this.#candidates(rounds)
    this.#gates[kind].started()
    this.#statements++
    const bytesMax = Math.max(CLAIM_BYTES_MIN, Math.floor(STATEMENT_BYTES_MAX / candidates.length))
    try {
      const unknown = rounds
        .flatMap(({ claims }) => claims.map(({ state }) => state))
        .filter(({ entry }) => entry === null)
      if (unknown.length > 0) await this.#handlers.resolve(unknown)
      const outcomes = await this.#store.popMessages(candidates, bytesMax)
      this.#gates[kind].ended()
      let at = 0
      for (const round of rounds) {
        const results = round.claims.map((claim) => {
          const result = { claim, outcome: outcomes[at]!, cached: cached[at]! }
          at++
          return result
        })
        this.#deliver(round, results)
      }
    } catch (error) {
      this.#gates[kind].ended()
      this.#handlers.failure(rounds, error)
    }
    for (const round of rounds) {
      const { id } = round.claims[0]!.state
      if (this.#reading.get(id) !== round) continue
      this.#reading.delete(id)
      this.#unpark(id)
    }
    this.#flush()
  }

  #candidates(rounds: readonly ClaimRound[]): { candidates: ClaimCandidate[]; cached: DecodedSegment[][] } {
    const candidates: ClaimCandidate[] = []
    const cached: DecodedSegment[][] = []
    rounds.forEach(({ wait, claims }, request) => {
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
          leaseId: wait.request.autoAck ? null : wait.leaseIdFor(() => partitionLeaseId(state.id)),
          shared: wait.shared,
          leaseMs: leaseTime * 1000,
          delayMs: delayedProcessing * 1000,
          windowMs: windowBuffer * 1000,
          cachedFrom: run[0]?.firstOffset ?? 0,
          cachedTo: run.length === 0 ? 0 : run[run.length - 1]!.lastOffset + 1,
          start: state.cursorKnown ? null : feed.start,
        })
      }
    })
    return { candidates, cached }
  }

  #deliver(round: ClaimRound, results: readonly ClaimResult[]): void {
    for (const { claim, outcome } of results) {
      if (outcome.state === 'claimed') this.#ahead.claimed(claim.state, outcome)
    }
    this.#handlers.results(round, results)
  }

  #unpark(partitionId: string): void {
    const parked = this.#parked.get(partitionId)
    if (parked === undefined) return
    this.#parked.delete(partitionId)
    for (const round of parked) this.#pending[kindOf(round)].push(round)
  }
}

function kindOf(round: ClaimRound): Kind {
  return round.wait.request.autoAck ? 'autoAck' : 'leases'
}
