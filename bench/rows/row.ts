/** A row of the table: one load, run once in every round. */
import type { Rig, Round } from '../rig/rig.ts'

/** Figures by name; the unit is the end of the name. */
export type Figures = Readonly<Record<string, number>>

export interface RowContext {
  readonly rig: Rig
  readonly round: Round
  readonly seconds: number
  /** A queue name that no other row uses. */
  readonly queue: string
}

export interface Row {
  readonly name: string
  readonly about: string
  /** Throws when the broker did anything but what it should. */
  run(context: RowContext): Promise<Figures>
}

/** The load of the push and pop rows: one shape, so that rows can be compared. */
export const PRODUCERS = 50
export const CONSUMERS = 10
export const PARTITIONS = 10
export const PAYLOAD_BYTES = 100
export const RAMP_MS = 300

export function usualShape(queue: string, batch: number) {
  return { queue, batch, payloadBytes: PAYLOAD_BYTES, partitions: PARTITIONS, withIds: true } as const
}
