/** How the instances are shown: what one does not tell is unknown, and so is every sum it belongs to. */
import { describe, expect, it } from 'vitest'
import { heardBetween, instanceStatus, sumOf } from '../../src/engine/maintenance/instance-view.ts'
import { type InstanceRow, LIVE_MS_MAX } from '../../src/ports/system-store.ts'

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

describe('who else reports under the id of this instance', () => {
  const self = { pid: 1, startedAt: '2026-01-01T00:00:00.000Z' }
  const at = (second: number): string => `2026-01-01T00:00:0${second}.000000+00:00`
  const heard = (before: Record<string, unknown> | undefined, heardAt: number) =>
    heardBetween({ report: { before } } as unknown as InstanceRow, self, heardAt)
  const before = { hostname: 'h', pid: 1, startedAt: at(0), lastSeenAt: at(5) }

  it('is nobody at first, nor whoever was there before a restart', () => {
    expect(heard(undefined, Number.POSITIVE_INFINITY)).toBe(null)
    expect(heard({ ...before, pid: 2 }, Number.POSITIVE_INFINITY)).toBe(null)
    expect(heard({ ...before, pid: 2 }, Date.parse(at(6)))).toBe(null)
    expect(heard(before, Date.parse(at(3)))).toBe(null)
  })

  it('is a process that was heard after this one, also with the same pid in another container', () => {
    expect(heard({ ...before, pid: 2 }, Date.parse(at(3)))).toEqual({ hostname: 'h', pid: 2 })
    expect(heard({ ...before, startedAt: at(1) }, Date.parse(at(3)))).toEqual({ hostname: 'h', pid: 1 })
  })
})
