/** Runs something at fixed times, whatever it takes: an open loop, so that a stall is felt by all that come due in it. */
import { setTimeout as pause } from 'node:timers/promises'

/** Calls `work` `perSecond` times a second for `seconds`; it must not wait. */
export async function paced(perSecond: number, seconds: number, work: () => void): Promise<void> {
  const count = Math.round(perSecond * seconds)
  const startedMs = performance.now()
  for (let i = 0; i < count; i++) {
    const waitMs = startedMs + (i * 1000) / perSecond - performance.now()
    if (waitMs > 0) await pause(waitMs)
    work()
  }
}
