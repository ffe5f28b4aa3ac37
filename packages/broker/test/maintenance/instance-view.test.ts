/** How the instances are shown: what one does not tell is unknown, and so is every sum it belongs to. */
import { describe, expect, it } from 'vitest'
import { instanceStatus, sumOf } from '../../src/engine/maintenance/instance-view.ts'
import { LIVE_MS_MAX } from '../../src/ports/system-store.ts'

const row = (report: Record<string, unknown>, silentMs = 0) =>
  instanceStatus({
    id: 'a',
    pid: 1,
    hostname: 'h',
    startedAt: '2026-01-01T00:00:00.123456Z',
    lastSeenAt: '2026-01-01T00:00:01.123456Z',
    report,
    silentMs,
    quarantined: 2,
  })

describe('G10 the instances', () => {
  it('a sum is unknown as soon as one part is, wherever it stands', () => {
    for (const values of [[null], [null, 1], [1, null], [1, null, 2]]) expect(sumOf(values)).toBe(null)
    expect([sumOf([]), sumOf([0]), sumOf([1, 2, 3])]).toEqual([0, 0, 6])
  })

  it('what a report lacks, or says in another way, is unknown and never 0', () => {
    const told = { phase: 'draining', bufferedMessages: 0, bufferedBytes: 5, quarantinedOnDisk: 1, diskFreeBytes: 9 }
    expect(row(told)).toMatchObject({
      phase: 'draining',
      bufferedMessages: 0,
      bufferedBytes: 5,
      quarantinedMessages: 3,
      diskFreeBytes: 9,
      capacityBytes: null,
    })
    for (const report of [{}, { phase: 'other', bufferedMessages: '7', bufferedBytes: null, quarantinedOnDisk: NaN }]) {
      expect(row(report)).toMatchObject({
        phase: null,
        bufferedMessages: null,
        bufferedBytes: null,
        oldestBufferedAt: null,
        quarantinedMessages: null,
        diskFreeBytes: null,
      })
    }
  })

  it('one that was silent for too long is not live', () => {
    expect([row({}, LIVE_MS_MAX).live, row({}, LIVE_MS_MAX + 1).live]).toEqual([true, false])
  })
})
