/** When the database is asked again after a failure: timers that do as they are told. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { DatabaseTrouble } from '../../src/engine/database-trouble.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('lets one probe through at a time, later each time, until one works', () => {
  const seen: string[] = []
  const trouble = new DatabaseTrouble(
    () => seen.push(trouble.active ? 'closed' : 'open'),
    () => seen.push('over'),
  )
  trouble.failed(false)
  expect(trouble.active).toBe(true)
  vi.advanceTimersByTime(100)
  expect(seen).toEqual(['open'])
  expect(trouble.active).toBe(true)
  trouble.failed(false)
  vi.advanceTimersByTime(199)
  expect(seen).toEqual(['open'])
  vi.advanceTimersByTime(1)
  trouble.worked()
  expect(seen).toEqual(['open', 'open', 'over'])
  vi.advanceTimersByTime(10_000)
  expect(seen).toEqual(['open', 'open', 'over'])
})

it('probes no more once the database is known to be back from elsewhere', () => {
  const seen: string[] = []
  const trouble = new DatabaseTrouble(
    () => seen.push('probe'),
    () => seen.push('over'),
  )
  trouble.failed(false)
  trouble.setAvailable(false)
  trouble.setAvailable(true)
  expect(trouble.active).toBe(false)
  vi.advanceTimersByTime(10_000)
  expect(seen).toEqual(['over'])
})

it('lets the next probe through when one found nothing to ask', () => {
  const seen: string[] = []
  const trouble = new DatabaseTrouble(
    () => seen.push('probe'),
    () => seen.push('over'),
  )
  trouble.notAsked()
  vi.advanceTimersByTime(10_000)
  expect(seen).toEqual([])
  trouble.failed(false)
  vi.advanceTimersByTime(100)
  trouble.notAsked()
  vi.advanceTimersByTime(10_000)
  expect(seen).toEqual(['probe', 'probe'])
  trouble.worked()
  expect(seen).toEqual(['probe', 'probe', 'over'])
})
