/** Opening and closing a maintenance window, as an operator does. */
import { setTimeout as pause } from 'node:timers/promises'
import { jsonCall } from '../load/json-call.ts'

interface Status {
  readonly phase: 'normal' | 'maintenance' | 'draining'
  readonly bufferedMessages: number | null
  readonly quarantinedMessages: number | null
}

const PATH = '/api/v1/system/maintenance'
/** Short beside any drain that is measured, and little work for the broker. */
const POLL_MS = 25
const DRAIN_TIMEOUT_MS = 180_000

export async function openWindow(url: string): Promise<void> {
  await jsonCall(`POST`, url + PATH, { enabled: true, reason: 'benchmark' })
}

/** Ends the window. Resolves with the time from the POST until the buffer is empty and pushes go to PostgreSQL again, ms. */
export async function closeWindow(url: string): Promise<number> {
  const startedMs = performance.now()
  await jsonCall('POST', url + PATH, { enabled: false })
  for (;;) {
    const status = await jsonCall<Status>('GET', url + PATH)
    const elapsedMs = performance.now() - startedMs
    if (status.phase === 'normal' && status.bufferedMessages === 0) {
      if (status.quarantinedMessages !== 0) throw new Error(`${status.quarantinedMessages} records were set aside`)
      return elapsedMs
    }
    if (elapsedMs > DRAIN_TIMEOUT_MS) throw new Error(`not drained in time: ${JSON.stringify(status)}`)
    await pause(POLL_MS)
  }
}
