import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DelayedDrain } from '../../src/engine/drain/delayed-drain.ts'

const P = { queue: 'q', partition: 'p' }

describe('bufferMs', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function bench() {
    const due: number[] = []
    const delayed = new DelayedDrain(() => due.push(Math.round(performance.now())))
    const write = (count: number, bufferMs: number, bufferMax = 100) => {
      const items = Array.from({ length: count }, () => P)
      delayed.hold(items)
      delayed.written(items, { bufferMs, bufferMax })
    }
    return { due, delayed, write, startedAt: Math.round(performance.now()) }
  }

  test('items are due when their time is up, the most impatient first', () => {
    const { due, write, startedAt } = bench()
    write(1, 500)
    write(1, 100)
    write(1, 900)
    vi.advanceTimersByTime(99)
    expect(due).toEqual([])
    vi.advanceTimersByTime(1)
    expect(due).toEqual([startedAt + 100])
    // That drain takes all of them.
    vi.advanceTimersByTime(2_000)
    expect(due.length).toBe(1)
  })

  test('items are due as soon as bufferMax of them wait', () => {
    const { due, write } = bench()
    write(2, 60_000, 5)
    write(2, 60_000, 5)
    vi.advanceTimersByTime(10)
    expect(due.length).toBe(0)
    write(1, 60_000, 5)
    vi.advanceTimersByTime(1)
    expect(due.length).toBe(1)
  })

  test('their partitions are held until the buffer is empty', () => {
    const { delayed, write } = bench()
    expect(delayed.active).toBe(false)
    delayed.hold([P])
    expect([delayed.active, delayed.writing, delayed.holds('q', 'p'), delayed.holds('q', 'other')]).toEqual([
      true,
      true,
      true,
      false,
    ])
    delayed.written([P], { bufferMs: 10, bufferMax: 1 })
    write(1, 10)
    vi.advanceTimersByTime(50)
    expect([delayed.writing, delayed.holds('q', 'p')]).toEqual([false, true])
    delayed.release()
    expect([delayed.active, delayed.holds('q', 'p')]).toEqual([false, false])
  })

  test('G4 whoever cannot go through the buffer has what waits stored at once, and waits for it', async () => {
    const { delayed, due, startedAt, write } = bench()
    let stored = false
    const cleared = (partition = 'p') => delayed.cleared([{ queue: 'q', partition }], () => stored, 1_000)
    expect(await cleared()).toBe(true)
    write(1, 60_000)
    expect([await cleared('other'), due]).toEqual([true, []])
    const first = cleared()
    expect(due).toEqual([startedAt])
    delayed.progressed()
    const inVain = await Promise.race([first, vi.advanceTimersByTimeAsync(500)])
    expect(inVain).not.toBe(true)
    // What came since is not waited for: the partition is still held.
    stored = true
    delayed.progressed()
    expect([await first, delayed.holds('q', 'p'), await cleared()]).toEqual([true, true, true])
    stored = false
    const late = cleared()
    await vi.advanceTimersByTimeAsync(1_000)
    expect([await late, due.length]).toEqual([false, 2])
    // Its own time has not been left behind.
    await vi.advanceTimersByTimeAsync(100_000)
    expect(due.length).toBe(2)
  })

  test('G9 beyond ten thousand partitions everything is held, and the books are closed', () => {
    const { delayed } = bench()
    for (let i = 0; i < 10_002; i++) {
      delayed.hold([{ queue: 'q', partition: `p${i}` }])
    }
    expect(delayed.holds('q', 'never named')).toBe(true)
    delayed.release()
    expect(delayed.holds('q', 'p1')).toBe(false)
  })
})
