/** Durations as people write them: `500ms 30s 5m 2h 1d 1w`, also joined (`1h30m`). Pure. */
import { CliError } from '../command/failure.ts'

const UNIT_MILLIS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

export function parseDurationMs(text: string): number {
  const millis = durationMs(text)
  if (millis === null) throw new CliError(`'${text}' is no duration; write it like 500ms, 30s, 5m, 2h, 1d or 1w`)
  return millis
}

/** null when the text is none. */
export function durationMs(text: string): number | null {
  if (text === '0') return 0
  if (!/^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(text)) return null
  let millis = 0
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g))
    millis += Number(count) * UNIT_MILLIS[unit!]!
  return Number.isSafeInteger(Math.round(millis)) ? Math.round(millis) : null
}

/** Whole seconds; a bare number is seconds. */
export function parseSeconds(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  return Math.round(parseDurationMs(text) / 1_000)
}
