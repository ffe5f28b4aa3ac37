/**
 * When an instance was on its own: between losing PostgreSQL and being back with the others, by its own log. Order
 * between instances is not promised for what it accepted then (G4, unplanned outage).
 */
export interface Interval {
  readonly fromMs: number
  readonly toMs: number
}

/** @param output the instance's log as JSON lines */
export function outagesOf(output: string): Interval[] {
  const events: { atMs: number; alone: boolean }[] = []
  for (const line of output.split('\n')) {
    if (!line.includes('"to":') && !line.includes('"recovered"')) continue
    try {
      const { time, to, type } = JSON.parse(line) as { time: number | string; to?: string; type?: string }
      const atMs = typeof time === 'number' ? time : Date.parse(time)
      // A process begins on its own; its first line is about its buffer.
      if (type === 'recovered') events.push({ atMs, alone: true })
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
