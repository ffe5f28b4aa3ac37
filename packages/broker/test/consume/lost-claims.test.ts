/** Claims whose answers were lost: how many are remembered, and that room comes back. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { LostClaims } from '../../src/engine/consume/lost-claims.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('G9 ten thousand partitions are remembered at most, and as many again when those were given back', async () => {
  const released: string[] = []
  const lost = new LostClaims(async ({ partitionIds }) => void released.push(...partitionIds))
  const claims = (name: string) =>
    Array.from({ length: 10_005 }, (_, i) => ({ group: 'g', leaseId: name, partitionId: `${name}${i}` }))
  for (const name of ['first', 'second']) {
    released.length = 0
    lost.add(claims(name))
    lost.databaseAnswered()
    await vi.advanceTimersByTimeAsync(10_000)
    expect([new Set(released).size, released[0]]).toEqual([10_000, `${name}0`])
  }
  lost.stop()
})
