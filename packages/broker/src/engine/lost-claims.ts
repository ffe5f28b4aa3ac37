/**
 * Claims whose answers were lost: PostgreSQL may have given the lease, may still be about to, or never will. The
 * consumer got nothing, so when the database answers again such leases are given back instead of running out.
 *
 * Invariants: bounded; a lease is only ever ended by its own id, so a claim that was made later is never touched;
 * forgetting an entry costs a lease time, never a message.
 */
import type { ClaimCandidate } from '../ports/consume-store.ts'

interface LostClaim {
  readonly group: string
  readonly leaseId: string
  readonly partitionIds: string[]
}

/** Partitions remembered; an outage loses the claims of a statement or two, not more. */
const PARTITIONS_MAX = 10_000
// A statement that was sent before the connection was lost may run for its whole limit (2 s) after the server is back.
const RELEASE_AFTER_MS = [0, 500, 1_500, 3_000] as const

export class LostClaims {
  readonly #release: (claim: LostClaim) => Promise<void>
  #claims: LostClaim[] = []
  #partitions = 0
  #timers = new Set<NodeJS.Timeout>()
  #stopped = false

  /** `release` ends the lease where it is held; its failure counts as the lease running out. */
  constructor(release: (claim: LostClaim) => Promise<void>) {
    this.#release = release
  }

  add(candidates: readonly Pick<ClaimCandidate, 'group' | 'leaseId' | 'partitionId'>[]): void {
    const byLease = new Map<string, LostClaim>()
    for (const { group, leaseId, partitionId } of candidates) {
      // autoAck has no lease: what it completed is gone, as its contract says.
      if (leaseId === null || this.#partitions >= PARTITIONS_MAX) continue
      this.#partitions++
      const known = byLease.get(leaseId)
      if (known === undefined) byLease.set(leaseId, { group, leaseId, partitionIds: [partitionId] })
      else known.partitionIds.push(partitionId)
    }
    this.#claims.push(...byLease.values())
  }

  /** The database answers: whatever is remembered is given back now, and again while a late claim may still commit. */
  databaseAnswered(): void {
    if (this.#claims.length === 0 || this.#stopped) return
    const claims = this.#claims
    this.#claims = []
    const lastMs = RELEASE_AFTER_MS[RELEASE_AFTER_MS.length - 1]
    for (const afterMs of RELEASE_AFTER_MS) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        for (const claim of claims) {
          if (afterMs === lastMs) this.#partitions -= claim.partitionIds.length
          void this.#release(claim).catch(() => {})
        }
      }, afterMs)
      this.#timers.add(timer)
    }
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}
