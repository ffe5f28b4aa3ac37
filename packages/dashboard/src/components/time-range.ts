/** A span of time as the address and the API carry it: a preset that moves with the present, or two fixed ends. */
export interface TimeRange {
  readonly from: Date
  readonly to: Date
}

export const RANGE_PRESETS = [
  { value: '15m', label: 'Last 15 minutes', minutes: 15 },
  { value: '1h', label: 'Last hour', minutes: 60 },
  { value: '6h', label: 'Last 6 hours', minutes: 360 },
  { value: '24h', label: 'Last 24 hours', minutes: 1_440 },
  { value: '7d', label: 'Last 7 days', minutes: 10_080 },
  { value: '30d', label: 'Last 30 days', minutes: 43_200 },
] as const

/** `value` is a preset, or `<from>..<to>` in ISO 8601. What it does not understand is the last hour. */
export function parseRange(value: string, nowMs = Date.now()): TimeRange {
  const [from, to] = value.split('..').map((part) => new Date(part))
  if (to !== undefined && from !== undefined && from < to) return { from, to }
  const minutes = RANGE_PRESETS.find((preset) => preset.value === value)?.minutes ?? 60
  return { from: new Date(nowMs - minutes * 60_000), to: new Date(nowMs) }
}

/** Between asking and answering, the broker's now moves on: with this a span of an hour does not become more than one. */
const SLACK_MS = 5_000

/** For the broker: a preset reaches to the broker's own now, whatever this clock says. */
export function queryRange(value: string): { from: Date; to: Date | undefined } {
  const { from, to } = parseRange(value)
  return value.includes('..') ? { from, to } : { from: new Date(from.getTime() + SLACK_MS), to: undefined }
}

export function fixedRange({ from, to }: TimeRange): string {
  return `${from.toISOString()}..${to.toISOString()}`
}
