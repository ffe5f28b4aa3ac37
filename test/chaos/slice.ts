/**
 * The part of a history that belongs to one violation: what was done to the messages it names, and the faults and windows
 * between their first and their last event. Nothing else: it is to be read by a person.
 */
import type { History } from './history.ts'
import type { Violation } from './judge.ts'

const LINES_MAX = 60
/** Without a message to go by, this much around the moment. */
const AROUND_MS = 500

const at = (ms: number): string => ms.toFixed(1)

export function sliceOf(history: History, violation: Violation): string[] {
  const own: [number, string][] = []
  for (const id of violation.ids) {
    const message = history.messages.get(id)
    if (message === undefined) continue
    for (const { atMs, instance, outcome, sentAtMs } of message.tries) {
      const answer = atMs === null ? 'no answer' : `${outcome} at ${at(atMs)}`
      own.push([sentAtMs, `push ${id} (${message.queue} ${message.partition}) to instance ${instance}: ${answer}`])
    }
  }
  if (violation.group !== undefined) {
    for (const delivery of history.deliveries) {
      if (delivery.group !== violation.group || !violation.ids.includes(delivery.id)) continue
      const { claimedAtMs, completedAtMs, id, instance, leaseId, releasedAtMs, sentAtMs } = delivery
      const end = completedAtMs === null ? 'not completed' : `completed at ${at(completedAtMs)}`
      const asked = `asked at ${at(sentAtMs)}, held at least until ${at(releasedAtMs)}, ${end}`
      own.push([claimedAtMs, `${id} claimed for ${delivery.group} by instance ${instance}, ${asked}, lease ${leaseId}`])
    }
  }
  const around = violation.aroundMs === null ? [] : [violation.aroundMs - AROUND_MS, violation.aroundMs + AROUND_MS]
  const times = own.length > 0 ? own.map(([ms]) => ms) : around
  if (times.length === 0) return []
  const fromMs = Math.min(...times)
  const toMs = Math.max(...times, own.length > 0 ? (violation.aroundMs ?? 0) : 0) + 1
  for (const { detail, fromMs: from, kind, toMs: to } of history.faults) {
    if (from > toMs || (to ?? Number.POSITIVE_INFINITY) < fromMs - AROUND_MS) continue
    own.push([from, `fault ${kind} ${detail} until ${to === null ? 'the end' : at(to)}`])
  }
  for (const { closedAtMs, safeAtMs } of history.windows) {
    if (safeAtMs > toMs || (closedAtMs ?? Number.POSITIVE_INFINITY) < fromMs - AROUND_MS) continue
    own.push([safeAtMs, `window, safe from here until ${closedAtMs === null ? 'the end' : at(closedAtMs)}`])
  }
  own.sort((a, b) => a[0] - b[0])
  const lines = own.slice(0, LINES_MAX).map(([ms, line]) => `${at(ms).padStart(10)}  ${line}`)
  if (own.length > LINES_MAX) lines.push(`            … ${own.length - LINES_MAX} more`)
  return lines
}
