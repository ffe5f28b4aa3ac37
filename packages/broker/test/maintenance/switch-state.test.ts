/** Whom a drain waits for, as a plain function of what operators did. */
import { describe, expect, it } from 'vitest'
import {
  flipMaintenance,
  isForgotten,
  readSwitch,
  reopen,
  SWITCH_OFF,
  type SwitchState,
} from '../../src/engine/maintenance/switch-state.ts'

const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString()
const flip = (now: SwitchState, enabled: boolean, minute: number): SwitchState =>
  flipMaintenance(now, enabled, null, null, at(minute))!

describe('G4 whom a drain waits for', () => {
  it('is who was there in any of the windows that it ends, also when they were reopened', () => {
    const first = flip(flip(SWITCH_OFF, true, 10), false, 20)
    const again = flip(flip(first, true, 21), false, 22)
    const third = flip(flip(again, true, 40), false, 41)
    expect([first, again, third].map(({ epoch }) => epoch)).toEqual([1, 2, 3])
    expect(Date.parse(first.expectSince!)).toBeLessThan(Date.parse(at(10)))
    expect([again.expectSince, third.expectSince]).toEqual([first.expectSince, first.expectSince])
  })

  it('is not who was there in a window that was drained', () => {
    const drained = { ...flip(flip(SWITCH_OFF, true, 10), false, 20), draining: false }
    const next = flip(flip(drained, true, 40), false, 41)
    expect(Date.parse(next.expectSince!)).toBeGreaterThan(Date.parse(at(39)))
  })
})

describe('G4 a drain after a database came back from before it', () => {
  const open = flip(SWITCH_OFF, true, 10)

  it('knows that nobody was heard of there, also when the window is ended and reopened', () => {
    const ended = flip(reopen(open), false, 20)
    const again = flip(ended, true, 21)
    expect([reopen(open), ended, again, flip(again, false, 22)].map(({ reopened }) => reopened)).toEqual(
      Array(4).fill(true),
    )
    expect(flip({ ...ended, draining: false }, true, 30).reopened).toBe(false)
  })

  it('begins again when it was under way, and a window is the one it was', () => {
    const draining = flip(open, false, 20)
    expect(reopen(draining)).toMatchObject({ draining: true, epoch: draining.epoch + 1, reopened: true })
    expect(reopen(open)).toMatchObject({ enabled: true, epoch: open.epoch, safeAt: null })
  })
})

describe('G11 what is stored of the switch', () => {
  it.each([
    [{}],
    [null],
    [undefined],
    ['x'],
    [0],
    [{ enabled: 'no' }],
    [{ enabled: null }],
    [{ enabled: 0 }],
    [{ enabled: 'false', draining: true }],
  ])('%j does not say that it is off: it is on, and nothing is drained', (stored) => {
    expect(readSwitch(stored)).toMatchObject({ enabled: true, draining: false })
  })

  it('is off only when it says so, and what is written is read back', () => {
    const off = flip(flip(SWITCH_OFF, true, 10), false, 20)
    expect(off).toMatchObject({ enabled: false, draining: true })
    for (const state of [SWITCH_OFF, off, flip(off, true, 21)])
      expect(readSwitch(JSON.parse(JSON.stringify(state)))).toEqual(state)
  })
})

describe('G5 a switch that is off without anybody having ended the window', () => {
  const first = flip(flip(SWITCH_OFF, true, 10), false, 20)
  const before = { ...first, draining: false }
  const open = flip(before, true, 40)

  it.each([
    ['a copy from before the window', before, 20, 5, true],
    ['a copy from before the first window', SWITCH_OFF, 5, 5, true],
    ['a database that was made since', SWITCH_OFF, 50, 50, true],
    ['the end of the window', flip(open, false, 50), 50, 5, false],
    ['a row written by hand, its time left alone', SWITCH_OFF, 40, 5, false],
    ['a row written by hand, with its time', SWITCH_OFF, 50, 5, false],
    ['the window itself', open, 40, 5, false],
  ])('%s', (_, read, changed, made, forgotten) => {
    expect(isForgotten(read, open, { changedAt: at(changed), firstAt: at(made) })).toBe(forgotten)
  })

  it('is forgotten while the drain lasts, too, but not after it', () => {
    const age = { changedAt: at(5), firstAt: at(5) }
    expect(isForgotten(SWITCH_OFF, first, age)).toBe(true)
    expect(isForgotten(before, first, { ...age, changedAt: at(20) })).toBe(false)
    expect(isForgotten(SWITCH_OFF, before, age)).toBe(false)
  })
})
