/** What a run came to, for people. */
import type { RunOptions, RunResult } from './run.ts'

// Around a violation: enough to see what led to it, little enough to read.
const BEFORE_MS = 400
const AFTER_MS = 400
const LINES_MAX = 60

export function reportOf({ plant, seconds, seed }: RunOptions, { history, recoveryMs, violations }: RunResult): string {
  const faults = new Map<string, number>()
  for (const { kind } of history.faults) faults.set(kind, (faults.get(kind) ?? 0) + 1)
  const messages = [...history.messages.values()]
  const count = (status: string): number => messages.filter((message) => message.status === status).length
  const refusals = new Map<string, number>()
  for (const { code, status } of history.refusals)
    refusals.set(`${status} ${code}`, (refusals.get(`${status} ${code}`) ?? 0) + 1)
  const list = (counts: Map<string, number>): string =>
    counts.size === 0
      ? 'none'
      : [...counts]
          .sort()
          .map(([name, times]) => `${name} ${times}`)
          .join(', ')
  const lines = [
    `seed ${seed}, ${seconds} s${plant === undefined ? '' : `, planted bug: ${plant}`}`,
    `faults      ${list(faults)}`,
    `windows     ${history.windows.length}`,
    `messages    ${messages.length} sent: queued ${count('queued')}, buffered ${count('buffered')}, duplicate ${count('duplicate')}, without a promise ${messages.filter((message) => message.answeredAtMs === null).length}`,
    `deliveries  ${history.deliveries.length}`,
    `refusals    ${list(refusals)}`,
    `slowest     ${Math.round(history.slowestPushMs)} ms for a push (frozen instances included)`,
    `recovery    ${Math.round(recoveryMs)} ms after the last fault`,
    `violations  ${violations.length}`,
    ...violations.map(({ guarantee, what }) => `  ${guarantee}  ${what}`),
  ]
  const first = violations.find((violation) => violation.aroundMs !== null)
  if (first !== undefined) {
    const slice = history.slice(first.aroundMs! - BEFORE_MS, first.aroundMs! + AFTER_MS, first.partition ?? undefined)
    lines.push(
      '',
      `around the first (ms since the start; partition ${first.partition ?? 'any'}):`,
      ...slice.slice(0, LINES_MAX),
    )
    lines.push('', `again: npm run chaos -- --seconds ${seconds} --seed ${seed}`)
  }
  return lines.join('\n')
}
