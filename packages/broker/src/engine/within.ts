/** A bound on how long an answer of PostgreSQL is waited for. The work itself goes on; only the waiting ends. */
import { StoreError } from '../ports/store-error.ts'

/** @throws StoreError when `work` takes longer, with an unknown outcome */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const giveUp = (): void =>
      reject(new StoreError('unavailable', 'PostgreSQL does not answer', { outcomeUnknown: true }))
    // After this process stood still, timers run before sockets are read: the answer may be there already.
    timer = setTimeout(() => setImmediate(giveUp), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What `work` brings within the time; null = it goes on, and nobody is told when it fails. */
export async function inTime<T>(work: Promise<T>, ms: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms)
  })
  work.catch(() => {})
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * What `work` brings within so many ticks of `tickMs`; null as with inTime. Time in which this process stood still counts as one
 * tick: it was no time of `work`'s.
 */
export async function inTicks<T>(work: Promise<T>, ticks: number, tickMs: number): Promise<T | null> {
  for (let tick = 1; ; tick++) {
    const result = await inTime(work, tickMs)
    if (result !== null || tick === ticks) return result
  }
}
