/**
 * How long to wait before the next try. Pure: `jitter` (0 ≤ jitter < 1) comes from the caller.
 *
 * The wait is spread over the upper half only: many clients must not come back at the same instant, and none of them
 * at once.
 */
export function backOffMillis(failures: number, firstMillis: number, maxMillis: number, jitter: number): number {
  // 2^30 times anything is beyond every maximum, and stays a finite number.
  const doubled = firstMillis * 2 ** Math.min(Math.max(0, failures - 1), 30)
  const full = Math.min(doubled, maxMillis)
  return full * (0.5 + jitter / 2)
}

/**
 * `Retry-After` in ms: seconds or an HTTP date. undefined when it is missing or makes no sense.
 */
export function parseRetryAfter(header: string | null | undefined, nowMillis: number): number | undefined {
  if (header === null || header === undefined) return undefined
  const text = header.trim()
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  // Date.parse reads '-5' and '1-2' as dates of sorts; an HTTP date starts with the name of a day.
  if (!/^[a-z]{3,9},? /i.test(text)) return undefined
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMillis)
}
