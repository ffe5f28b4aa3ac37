/** Waits for a condition instead of for time to pass. */
import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 15
/** Only a broken product waits this long. */
const TIMEOUT_MS = 20_000

/** The first value of `look` that is neither false nor null nor undefined. */
export async function until<T>(
  what: string,
  look: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  const endsAt = performance.now() + timeoutMs
  let failure: unknown
  for (;;) {
    try {
      const found = await look()
      if (found !== false && found !== null && found !== undefined) return found
      failure = undefined
    } catch (error) {
      failure = error
    }
    if (performance.now() > endsAt) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`, { cause: failure })
    await pause(POLL_MS)
  }
}
