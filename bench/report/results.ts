/** What a run found: for each row the figures of every round and their medians. */
import type { Figures } from '../rows/row.ts'
import { median } from './median.ts'

export interface RowResult {
  readonly name: string
  readonly about: string
  /** One a round that succeeded, by the round's number. */
  readonly rounds: Map<number, Figures>
  readonly errors: string[]
}

export type Results = ReadonlyMap<string, RowResult>

/** Median over the rounds; NaN when no round has it. */
export function figure(results: Results, row: string, name: string): number {
  return median([...(results.get(row)?.rounds.values() ?? [])].map((figures) => figures[name] ?? Number.NaN))
}

/** Medians of all figures of a row. */
export function medians(result: RowResult): Figures {
  const names = new Set([...result.rounds.values()].flatMap((figures) => Object.keys(figures)))
  return Object.fromEntries(
    [...names].map((name) => [name, median([...result.rounds.values()].map((figures) => figures[name] ?? Number.NaN))]),
  )
}

/** Median of the ratios inside each round: noise of the machine that outlasts a round cancels out. NaN without any. */
export function ratio(
  results: Results,
  above: readonly [row: string, name: string],
  below: readonly [row: string, name: string],
): number {
  const ratios: number[] = []
  for (const [round, figures] of results.get(above[0])?.rounds ?? []) {
    const base = results.get(below[0])?.rounds.get(round)?.[below[1]]
    const value = figures[above[1]]
    if (value !== undefined && base !== undefined) ratios.push(value / base)
  }
  return median(ratios)
}
