/** The broker as it starts: nothing pushed, nothing cached. The runner adds its memory, as to every row. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Row } from './row.ts'

// First heartbeat, first reconcile and the garbage of the start are over by then.
const SETTLE_MS = 3_000

export const idleRow: Row = {
  name: 'idle',
  about: 'a broker that was just started',
  async run() {
    await pause(SETTLE_MS)
    return {}
  },
}
