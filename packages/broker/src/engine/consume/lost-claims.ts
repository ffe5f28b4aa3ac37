/**
 * Claims whose answers were lost, and leases that could not be given back: PostgreSQL may have given the lease, may still
 * be about to, or never will. No consumer has the messages, so when the database answers again such leases are given back
 * instead of running out.
 *
 * Invariants: bounded; a lease is only ever ended by its own id, so a claim that was made later is never touched;
 * forgetting an entry costs a lease time, never a message.
 */
import type { ClaimCandidate } from '../../ports/consume-store.ts'
import { StoreError } from '../../ports/store-error.ts'

export interface LostClaim {
  readonly group: string
  readonly leaseId: string
  readonly partitionIds: readonly string[]
}

/** Partitions remembered; an outage loses the claims of a statement or two, not more. */
const PARTITIONS_MAX = 10_000
// With the last of the tries below: within five seconds of the database being back.
const TRY_AFTER_MS = 1_000
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
    const byLease = new Map<string, { group: string; leaseId: string; partitionIds: string[] }>()
    for (const { group, leaseId, partitionId } of candidates) {
      // autoAck has no lease: what it completed is gone, as its contract says.
      if (leaseId === null || this.#partitions >= PARTITIONS_MAX) continue
      this.#partitions++
      const known = byLease.get(leaseId)
      if (known === undefined) byLease.set(leaseId, { group, leaseId, partitionIds: [partitionId] })
      else known.partitionIds.push(partitionId)
    }
    this.#claims.push(...byLease.values())
    // Should nobody else have anything to ask the database.
    if (this.#claims.length > 0 && !this.#stopped) this.#in(TRY_AFTER_MS, async () => this.databaseAnswered())
  }

  /** The database answers: whatever is remembered is given back now, and again while a late claim may still commit. */
  databaseAnswered(): void {
    if (this.#claims.length === 0 || this.#stopped) return
    const claims = this.#claims
    this.#claims = []
    for (const claim of claims) {
      let left = RELEASE_AFTER_MS.length
      let failed = false
      for (const afterMs of RELEASE_AFTER_MS) {
        this.#in(afterMs, async () => {
          if (!failed) {
            await this.#release(claim).catch((error: unknown) => {
              failed ||= error instanceof StoreError && error.transient
            })
          }
          if (--left > 0) return
          this.#partitions -= claim.partitionIds.length
          // The database went away again: everything anew when it is back.
          if (failed) this.add(claim.partitionIds.map((partitionId) => ({ ...claim, partitionId })))
        })
      }
    }
  }

  #in(ms: number, work: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void work()
    }, ms)
    this.#timers.add(timer)
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}
