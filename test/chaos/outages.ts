/**
 * When an instance was on its own: between losing PostgreSQL and being back with the others, by its own log. Order
 * between instances is not promised for what it accepted then (G4, unplanned outage).
 */
export interface Interval {
  readonly fromMs: number
  readonly toMs: number
}

/**
 * @param output the instance's log as JSON lines
 * @param killedAtWallMs when the process was ended; the next one begins on its own
 */
export function outagesOf(output: string, killedAtWallMs: readonly number[]): Interval[] {
  const events: { atMs: number; alone: boolean }[] = killedAtWallMs.map((atMs) => ({ atMs, alone: true }))
  for (const line of output.split('\n')) {
    if (!line.includes('"to":')) continue
    try {
      const { time, to } = JSON.parse(line) as { time: number | string; to: string }
      const atMs = typeof time === 'number' ? time : Date.parse(time)
      if (to === 'outage' || to === 'draining') events.push({ atMs, alone: true })
      if (to === 'direct' || to === 'window' || to === 'gathering') events.push({ atMs, alone: false })
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
