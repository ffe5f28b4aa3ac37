/**
 * When an instance was on its own: between losing PostgreSQL and being back with the others, by its own log. Order
 * between instances is not promised for what it accepted then (G4, unplanned outage).
 */
export interface Interval {
  readonly fromMs: number
  readonly toMs: number
}

interface Line {
  /** ISO 8601 or milliseconds since 1970. */
  readonly time: number | string
  readonly msg?: string
  readonly to?: string
  readonly type?: string
}

const CONNECTED = 'PostgreSQL is connected'

/** @param output the instance's log as JSON lines */
export function outagesOf(output: string): Interval[] {
  const events: { atMs: number; alone: boolean }[] = []
  // Of the process whose lines are read: until PostgreSQL was reached, an open window is one remembered from before the
  // last stop, and the others may have closed it long ago.
  let connected = true
  let remembersWindow = false
  for (const line of output.split('\n')) {
    if (!line.includes('"to":') && !line.includes('"recovered"') && !line.includes(CONNECTED)) continue
    try {
      const { msg, time, to, type } = JSON.parse(line) as Line
      const atMs = typeof time === 'number' ? time : Date.parse(time)
      // A process begins on its own; its first line is about its buffer.
      if (type === 'recovered') {
        connected = false
        events.push({ atMs, alone: true })
      }
      if (msg === CONNECTED) {
        connected = true
        if (remembersWindow) events.push({ atMs, alone: false })
      }
      if (to !== undefined || msg === CONNECTED) remembersWindow = to === 'window' && !connected
      if (to === 'outage' || to === 'draining') events.push({ atMs, alone: true })
      if (to === 'direct' || to === 'gathering' || (to === 'window' && connected)) events.push({ atMs, alone: false })
    } catch {
      // A line that a kill cut short.
    }
  }
  events.sort((a, b) => a.atMs - b.atMs)
  const intervals: Interval[] = []
  let since: number | null = null
  for (const { alone, atMs } of events) {
    if (alone) since ??= atMs
    else if (since !== null) {
      intervals.push({ fromMs: since, toMs: atMs })
      since = null
    }
  }
  if (since !== null) intervals.push({ fromMs: since, toMs: Number.POSITIVE_INFINITY })
  return intervals
}
