/** When a pop request ends that has a claim under way: timers that do as they are told. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { PopWait } from '../../src/engine/consume/pop-wait.ts'
import { never, popRequest } from './fixture.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function claiming(request: Parameters<typeof popRequest>[0]): PopWait {
  const wait = new PopWait(
    popRequest(request),
    never,
    performance.now(),
    () => 'no_message',
    () => {},
  )
  wait.claiming = true
  return wait
}

it('is answered in time while a lease is taken for it, which is given back', () => {
  const wait = claiming({ wait: true, timeoutMs: 1_000 })
  vi.advanceTimersByTime(1_000)
  expect(wait.done).toBe(true)
})

it('waits for a claim with autoAck that is under way when its time is over: what it completes is for nobody else', () => {
  const wait = claiming({ wait: true, timeoutMs: 1_000, autoAck: true })
  vi.advanceTimersByTime(2_900)
  expect([wait.done, wait.wantsMore]).toEqual([false, false])
  // Longer than any statement takes.
  vi.advanceTimersByTime(200)
  expect(wait.done).toBe(true)
})

it('does so within the 3 s of one that does not wait', () => {
  const wait = claiming({ autoAck: true })
  vi.advanceTimersByTime(2_800)
  expect(wait.done).toBe(false)
  vi.advanceTimersByTime(150)
  expect(wait.done).toBe(true)
})

it('is over at once when its claim has not been sent yet', () => {
  const wait = claiming({ wait: true, timeoutMs: 1_000, autoAck: true })
  wait.end()
  expect(wait.done).toBe(false)
  expect(wait.mayClaim()).toBe(false)
  expect(wait.done).toBe(true)
})
