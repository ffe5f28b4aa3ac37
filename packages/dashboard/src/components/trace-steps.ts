/**
 * Trace records as the steps of messages on one time axis. Pure.
 *
 * A record is a moment and no span: what a step took is the time since the step before it of the same message, or since
 * the message came where that is known.
 */
import type { TraceRecord } from '@queen/client'
import { millis } from '../format/times.ts'

export interface TraceLane {
  readonly key: string
  /** When the message was stored, where that is known: the first bar begins there. */
  readonly startedAt: string | null
  /** Oldest first. */
  readonly records: readonly TraceRecord[]
}

export interface TraceStep {
  readonly id: string
  readonly name: string
  readonly at: number
  /** null = nothing is known before it. */
  readonly tookMs: number | null
  /** Of the whole axis, 0 to 1. */
  readonly from: number
  readonly to: number
  readonly tone: 1 | 2 | 3 | 4 | 5 | 6
  readonly failed: boolean
  readonly isStart: boolean
  readonly group: string | null
  readonly worker: string | null
  readonly traceNames: readonly string[]
  readonly data: unknown
}

export interface Waterfall<Lane extends TraceLane> {
  readonly startAt: number
  readonly spanMs: number
  readonly lanes: readonly { readonly key: string; readonly lane: Lane; readonly steps: readonly TraceStep[] }[]
}

const FAILED = /err|fail|reject|abort|timeout/i

export function waterfall<Lane extends TraceLane>(lanes: readonly Lane[]): Waterfall<Lane> {
  const times = lanes.flatMap(({ startedAt, records }) =>
    [startedAt, ...records.map((record) => record.created_at)].map(millis).filter((at) => at !== null),
  )
  const startAt = times.reduce((least, at) => Math.min(least, at), Number.POSITIVE_INFINITY)
  const endAt = times.reduce((most, at) => Math.max(most, at), Number.NEGATIVE_INFINITY)
  const spanMs = times.length === 0 ? 0 : endAt - startAt
  const place = (at: number): number => (spanMs === 0 ? 0 : (at - startAt) / spanMs)
  const tones = new Map<string, number>()
  const toneOf = (name: string): TraceStep['tone'] => {
    if (!tones.has(name)) tones.set(name, tones.size)
    return ((tones.get(name)! % 6) + 1) as TraceStep['tone']
  }
  return {
    startAt: Number.isFinite(startAt) ? startAt : 0,
    spanMs,
    lanes: lanes.map((lane) => {
      let before = millis(lane.startedAt)
      const start: TraceStep[] = before === null ? [] : [stored(lane.key, before, place(before))]
      const steps = lane.records.map((record): TraceStep => {
        const at = millis(record.created_at) ?? startAt
        const step: TraceStep = {
          id: record.id,
          name: record.event_type,
          at,
          tookMs: before === null ? null : Math.max(0, at - before),
          from: place(Math.min(before ?? at, at)),
          to: place(at),
          tone: toneOf(record.event_type),
          failed: FAILED.test(record.event_type),
          isStart: false,
          group: record.consumer_group,
          worker: record.worker_id,
          traceNames: record.trace_names,
          data: record.data,
        }
        before = at
        return step
      })
      return { key: lane.key, lane, steps: [...start, ...steps] }
    }),
  }
}

function stored(key: string, at: number, place: number): TraceStep {
  return {
    id: `${key} stored`,
    name: 'Stored',
    at,
    tookMs: null,
    from: place,
    to: place,
    tone: 5,
    failed: false,
    isStart: true,
    group: null,
    worker: null,
    traceNames: [],
    data: null,
  }
}
