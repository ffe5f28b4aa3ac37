/** timestamptz as the sessions print it ('2026-11-23 12:38:30.321+00', UTC) to what the wire shows. */

/** ISO 8601 with microseconds and Z. */
export function isoMicros(text: string): string {
  const fraction = text.slice(20, -3)
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction.padEnd(6, '0')}Z`
}

/** ISO 8601 with milliseconds and Z; finer digits are cut, never rounded into the future. */
export function isoMillis(text: string): string {
  return `${isoMicros(text).slice(0, 23)}Z`
}
