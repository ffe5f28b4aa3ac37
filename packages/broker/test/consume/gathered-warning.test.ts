/** What many requests have to warn of at once does not flood the log, and is counted to the last. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { GatheredWarning } from '../../src/engine/gathered-warning.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('the first is told at once, a crowd in one line for each pause, and the rest at the end', () => {
  const lines: object[] = []
  const warning = new GatheredWarning({ warn: (fields, text) => void lines.push({ ...fields, text }) }, 'gone')
  const line = (queue: string, messages: number, times: number) => ({ queue, messages, times, text: 'gone' })
  warning.add({ queue: 'a' }, 3)
  expect(lines.splice(0)).toEqual([line('a', 3, 1)])
  for (let i = 0; i < 1_000; i++) warning.add({ queue: 'b' }, 2)
  vi.advanceTimersByTime(4_999)
  expect(lines).toEqual([])
  vi.advanceTimersByTime(1)
  expect(lines.splice(0)).toEqual([line('b', 2_000, 1_000)])
  // Nothing for a pause: the next is news again.
  vi.advanceTimersByTime(5_000)
  warning.add({ queue: 'c' }, 1)
  expect(lines.splice(0)).toEqual([line('c', 1, 1)])
  warning.add({ queue: 'd' }, 1)
  warning.stop()
  expect(lines.splice(0)).toEqual([line('d', 1, 1)])
  expect(vi.getTimerCount()).toBe(0)
})
