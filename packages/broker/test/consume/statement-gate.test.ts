/** How many statements of one kind leave at a time. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { StatementGate } from '../../src/engine/statement-gate.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('lets one through, and a second only beside a slow one', () => {
  let opened = 0
  const gate = new StatementGate(() => opened++)
  expect(gate.isOpen()).toBe(true)
  gate.started()
  expect(gate.isOpen()).toBe(false)
  vi.advanceTimersByTime(4)
  expect(opened).toBe(0)
  vi.advanceTimersByTime(2)
  expect(opened).toBe(1)
  expect(gate.isOpen()).toBe(true)
  gate.started()
  expect(gate.isOpen()).toBe(false)
  vi.advanceTimersByTime(1000)
  expect(gate.isOpen()).toBe(false)
  gate.ended()
  gate.ended()
  expect(gate.isOpen()).toBe(true)
})

it('keeps no timer when its statement has ended', () => {
  let opened = 0
  const gate = new StatementGate(() => opened++)
  gate.started()
  expect(gate.isOpen()).toBe(false)
  gate.ended()
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(1000)
  expect(opened).toBe(0)
})

it('lets heavy ones leave beside fast ones, three at a time', () => {
  const gate = new StatementGate(() => {})
  gate.started()
  expect(gate.isOpen()).toBe(false)
  expect(gate.isOpen(true)).toBe(true)
  gate.started()
  expect(gate.isOpen(true)).toBe(true)
  gate.started()
  expect(gate.isOpen(true)).toBe(false)
  for (let i = 0; i < 3; i++) gate.ended()
})
