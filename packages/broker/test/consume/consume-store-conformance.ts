/**
 * What a ConsumeStore must do, whatever it stands on: one exported suite. `open` gives a store on an empty database and
 * the means to arrange what is stored.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AckEntry, ClaimCandidate, ConsumeStore, KnownClaim, NextLease } from '../../src/ports/consume-store.ts'

export interface ConsumeStoreBench extends AsyncDisposable {
  readonly store: ConsumeStore
  /** A partition of a queue of its own that holds one segment for each count. */
  createPartition(segments: readonly number[]): Promise<string>
  append(partitionId: string, count: number): Promise<void>
  /** Lets the group's lease run out. */
  expireLease(partitionId: string, group: string): Promise<void>
  /** What retention does: nothing below `offset` can be read any more. */
  expireMessages(partitionId: string, offset: number): Promise<void>
}

const BYTES_MAX = 1 << 20
const LEASE_MS = 60_000

let leases = 0
const lease = (): string => `l${leases++}`

function candidate(partitionId: string, leaseId: string | null, want = 10): ClaimCandidate {
  return {
    partitionId,
    group: 'g',
    request: 0,
    want,
    leaseId,
    shared: false,
    leaseMs: LEASE_MS,
    delayMs: 0,
    windowMs: 0,
    cachedFrom: 0,
    cachedTo: 0,
    start: { mode: 'all', at: null },
  }
}

function known(partitionId: string, leaseId: string | null, position: number, leasedTo: number): KnownClaim {
  return { partitionId, group: 'g', position, leasedTo, short: false, leaseId, leaseMs: LEASE_MS }
}

function next(leasedTo: number): NextLease {
  return { leaseId: lease(), leasedTo, leaseMs: LEASE_MS }
}

function completed(partitionId: string, leaseId: string, from: number, to: number): AckEntry {
  const nothing = { failed: [], retry: [], dead: [], retryLimit: 3, retryDelayMs: 0, deadLetters: [] }
  return { partitionId, group: 'g', leaseId, completed: [from, to], ...nothing }
}

export function describeConsumeStore(name: string, open: () => Promise<ConsumeStoreBench>): void {
  describe(name, () => {
    let bench: ConsumeStoreBench
    let store: ConsumeStore
    beforeAll(async () => {
      bench = await open()
      store = bench.store
    })
    afterAll(() => bench[Symbol.asyncDispose]())

    /** A partition of 30 messages of which the group has finished the first 10. */
    async function begun(): Promise<string> {
      const partitionId = await bench.createPartition([30])
      await store.popMessages([candidate(partitionId, null)], BYTES_MAX)
      return partitionId
    }

    test('a claim from memory and a claim that reads exclude each other (G6)', async () => {
      const partitionId = await begun()
      const first = lease()
      const [taken] = await store.claimKnown([known(partitionId, first, 10, 20)])
      expect(taken).toMatchObject({ nextOffset: 30 })
      expect(taken!.untilMs! - Date.now()).toBeGreaterThan(LEASE_MS / 2)
      expect(await store.claimKnown([known(partitionId, lease(), 10, 20)])).toEqual([null])
      expect(await store.popMessages([candidate(partitionId, lease())], BYTES_MAX)).toMatchObject([{ state: 'leased' }])
      await bench.expireLease(partitionId, 'g')
      const late = { ...known(partitionId, first, 10, 20), leaseId: first, next: null }
      expect(await store.finishLeases([late])).toEqual([null])
      expect(await store.claimKnown([known(partitionId, lease(), 10, 15)])).toMatchObject([{ nextOffset: 30 }])
    })

    test('of many claims at once one gets the lease (G6)', async () => {
      const partitionId = await begun()
      const claims = Array.from({ length: 12 }, (_, i) =>
        i % 3 === 0
          ? store.popMessages([candidate(partitionId, lease())], BYTES_MAX).then(([one]) => one!.state === 'claimed')
          : store.claimKnown([known(partitionId, lease(), 10, 20)]).then(([one]) => one !== null),
      )
      expect((await Promise.all(claims)).filter(Boolean)).toHaveLength(1)
    })

    test('of two claims of one cursor in one statement one gets the lease (G6)', async () => {
      const partitionId = await begun()
      const twice = [0, 1].map((request) => ({ ...candidate(partitionId, lease(), 5), request }))
      expect(await store.popMessages(twice, BYTES_MAX)).toMatchObject([
        { state: 'claimed', position: 10, leasedTo: 15 },
        { state: 'busy' },
      ])
      const late = { ...known(partitionId, '', 10, 15), leaseId: twice[0]!.leaseId!, next: null }
      expect(await store.finishLeases([late])).toMatchObject([{ next: null }])
    })

    test('a claim from memory is refused at any other position, and of partitions that do not exist', async () => {
      const partitionId = await begun()
      const nowhere = '00000000-0000-4000-8000-000000000000'
      expect(
        await store.claimKnown([
          known(partitionId, lease(), 9, 20),
          { ...known(partitionId, lease(), 10, 20), group: 'other' },
          known(nowhere, lease(), 0, 10),
        ]),
      ).toEqual([null, null, null])
      const [outcome] = await store.popMessages([candidate(partitionId, lease())], BYTES_MAX)
      expect(outcome).toMatchObject({ state: 'claimed', position: 10, leasedTo: 20 })
    })

    test('a short claim is made at the end only', async () => {
      const partitionId = await begun()
      const short = { ...known(partitionId, null, 10, 30), short: true }
      await bench.append(partitionId, 1)
      expect(await store.claimKnown([short])).toEqual([null])
      expect(await store.claimKnown([{ ...short, leasedTo: 31 }])).toEqual([{ nextOffset: 31, untilMs: null }])
      expect(await store.popMessages([candidate(partitionId, null)], BYTES_MAX)).toMatchObject([{ state: 'empty' }])
    })

    test('outcomes come in the order of the claims', async () => {
      const partitions = await Promise.all([begun(), begun(), begun()])
      const claims = partitions.map((partitionId, i) => known(partitionId, lease(), i === 1 ? 11 : 10, 20))
      expect((await store.claimKnown(claims)).map((outcome) => outcome !== null)).toEqual([true, false, true])
      const finishes = claims.map((claim) => ({ ...claim, leaseId: claim.leaseId!, next: null }))
      expect(await store.finishLeases(finishes)).toEqual([{ next: null }, null, { next: null }])
    })

    test('a lease ends as a whole exactly when it holds what is meant (G7)', async () => {
      const partitionId = await begun()
      const leaseId = lease()
      await store.claimKnown([known(partitionId, leaseId, 10, 20)])
      const finish = { partitionId, group: 'g', leaseId, position: 10, leasedTo: 20, next: next(30) }
      expect(await store.finishLeases([{ ...finish, leasedTo: 19 }])).toEqual([null])
      expect(await store.finishLeases([{ ...finish, leaseId: lease() }])).toEqual([null])
      await store.ackMessages([completed(partitionId, leaseId, 12, 13)])
      expect(await store.finishLeases([finish])).toEqual([null])
      expect(await store.ackMessages([completed(partitionId, leaseId, 10, 20)])).toMatchObject([
        { state: 'live', ended: true, committed: 20 },
      ])
    })

    test('a repeated ack of a lease that ended as a whole is told so', async () => {
      const partitionId = await begun()
      const leaseId = lease()
      await store.claimKnown([known(partitionId, leaseId, 10, 20)])
      const finish = { partitionId, group: 'g', leaseId, position: 10, leasedTo: 20, next: null }
      expect(await store.finishLeases([finish])).toEqual([{ next: null }])
      expect(await store.finishLeases([finish])).toEqual([null])
      const [outcome] = await store.ackMessages([completed(partitionId, leaseId, 10, 20)])
      expect(outcome).toMatchObject({ state: 'ended', ended: false, committed: 20 })
      expect(outcome!.before).toMatchObject({ committed: 20, leased: [10, 20] })
    })

    test('the next lease is taken with the end of the one before, and is a lease like any other (G6)', async () => {
      const partitionId = await begun()
      const leaseId = lease()
      await store.claimKnown([known(partitionId, leaseId, 10, 20)])
      const finish = { partitionId, group: 'g', leaseId, position: 10, leasedTo: 20, next: next(25) }
      const [outcome] = await store.finishLeases([finish])
      expect(outcome!.next).toMatchObject({ nextOffset: 30 })
      expect(outcome!.next!.untilMs! - Date.now()).toBeGreaterThan(50_000)
      expect(await store.finishLeases([finish])).toEqual([null])
      expect(await store.popMessages([candidate(partitionId, lease())], BYTES_MAX)).toMatchObject([{ state: 'leased' }])
      expect(await store.ackMessages([completed(partitionId, leaseId, 10, 20)])).toMatchObject([{ state: 'other' }])
      expect(await store.ackMessages([completed(partitionId, finish.next.leaseId, 20, 25)])).toMatchObject([
        { state: 'clean', ended: true, committed: 25 },
      ])
    })

    test('the next lease that nobody wants is given back, its messages with it', async () => {
      const partitionId = await begun()
      const leaseId = lease()
      await store.claimKnown([known(partitionId, leaseId, 10, 20)])
      const finish = { partitionId, group: 'g', leaseId, position: 10, leasedTo: 20, next: next(25) }
      await store.finishLeases([finish])
      await store.releaseClaim([partitionId], 'g', finish.next.leaseId)
      const [again] = await store.popMessages([candidate(partitionId, lease())], BYTES_MAX)
      expect(again).toMatchObject({ state: 'claimed', position: 20 })
    })

    test('the next lease is not taken of what has expired', async () => {
      const [expired, whole] = [await begun(), await begun()]
      const leases = [expired, whole].map((partitionId) => known(partitionId, lease(), 10, 20))
      await store.claimKnown(leases)
      await bench.expireMessages(expired, 22)
      const finishes = leases.map((claim) => ({ ...claim, leaseId: claim.leaseId!, next: next(30) }))
      expect(await store.finishLeases(finishes)).toMatchObject([{ next: null }, { next: { nextOffset: 30 } }])
      const [free] = await store.popMessages([candidate(expired, lease())], BYTES_MAX)
      expect(free).toMatchObject({ state: 'claimed', position: 22 })
    })

    test('segments are read ahead within their limits', async () => {
      const partitionId = await bench.createPartition([3, 3, 3, 3])
      const firsts = async (from: number, to: number, bytesMax: number, segmentsMax: number) =>
        (await store.readAhead([{ partitionId, from, to }], bytesMax, segmentsMax)).map((row) => row.firstOffset)
      expect(await firsts(0, 12, BYTES_MAX, 10)).toEqual([0, 3, 6, 9])
      expect(await firsts(3, 7, BYTES_MAX, 10)).toEqual([3, 6])
      expect(await firsts(0, 12, 1, 10)).toEqual([0])
      expect(await firsts(0, 12, BYTES_MAX, 2)).toEqual([0, 3])
      expect(await firsts(12, 20, BYTES_MAX, 10)).toEqual([])
    })
  })
}
