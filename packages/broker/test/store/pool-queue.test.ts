/** Which connections a pool keeps, over connections that are only counted. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DatabaseConnection } from '../../src/store/pool/connection.ts'
import { ConnectionPool } from '../../src/store/pool/queue.ts'

const PERIOD_MS = 60_000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function poolOf(size: number, keep: number) {
  const closed: number[] = []
  let lost = 0
  let opened = 0
  const pool = new ConnectionPool({
    size,
    keep,
    waitersMax: 100,
    waitTimeoutMs: 10_000,
    open: async () => {
      const number = ++opened
      const connection = {
        number,
        broken: false,
        onBroken: null as ((silent: boolean) => void) | null,
        close() {
          closed.push(number)
          this.broken = true
          this.onBroken?.(false)
        },
      }
      return connection as unknown as DatabaseConnection
    },
    refusal: () => null,
    onOpened: () => {},
    onOpenFailed: () => {},
    onLost: () => lost++,
  })
  /** So many at a time, each of another connection. */
  const use = async (count: number): Promise<void> => {
    const all = Promise.withResolvers<void>()
    let running = 0
    await Promise.all(
      Array.from({ length: count }, () =>
        pool.use(async () => {
          if (++running === count) all.resolve()
          await all.promise
        }),
      ),
    )
  }
  return { pool, use, closed, lost: () => lost }
}

describe('idle connections', () => {
  it('that nobody needed for a minute are closed, down to a few', async () => {
    const { pool, use, closed, lost } = poolOf(8, 2)
    await use(8)
    vi.advanceTimersByTime(PERIOD_MS)
    expect(closed).toEqual([])
    await use(3)
    vi.advanceTimersByTime(PERIOD_MS)
    expect(pool.stats()).toMatchObject({ size: 3, idle: 3 })
    vi.advanceTimersByTime(2 * PERIOD_MS)
    expect(pool.stats()).toMatchObject({ size: 2, idle: 2 })
    expect(new Set(closed).size).toBe(6)
    // Nothing is wrong with the server.
    expect(lost()).toBe(0)
    await use(4)
    expect(pool.stats()).toMatchObject({ size: 4, idle: 4 })
    pool.close()
  })

  it('count with those that are busy: what works is enough to keep', async () => {
    const { pool, use } = poolOf(4, 2)
    await use(4)
    vi.advanceTimersByTime(PERIOD_MS)
    const ended = Promise.withResolvers<void>()
    const working = [pool.use(() => ended.promise), pool.use(() => ended.promise)]
    vi.advanceTimersByTime(2 * PERIOD_MS)
    expect(pool.stats()).toMatchObject({ size: 2, idle: 0 })
    ended.resolve()
    await Promise.all(working)
    pool.close()
  })

  it('stay when they were used since, also when one was given away meanwhile', async () => {
    const { pool, use, closed } = poolOf(4, 1)
    await use(4)
    vi.advanceTimersByTime(PERIOD_MS)
    await pool.give(1)
    await use(3)
    vi.advanceTimersByTime(PERIOD_MS)
    expect([closed, pool.stats()]).toMatchObject([[], { size: 3 }])
    pool.close()
  })
})
