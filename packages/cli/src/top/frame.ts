/** A frame of `top` as lines. Pure: the snapshot, the view and the size are all it knows. */

import { maintenanceLines } from '../maintenance/view.ts'
import { headline } from '../maintenance/words.ts'
import type { Style } from '../output/style.ts'
import { type Column, renderTable } from '../output/table.ts'
import { fit } from '../output/text.ts'
import { age, ageSeconds, count, rate, sinceMs } from '../output/values.ts'
import type { QueueRow, Snapshot } from './collect.ts'

export const SORTS = ['push', 'pop', 'lag', 'pending', 'name'] as const
export type Sort = (typeof SORTS)[number]

export interface View {
  readonly sort: Sort
  readonly filter: string
  /** The filter is being written. */
  readonly typing: boolean
  readonly paused: boolean
  readonly panel: boolean
  readonly scroll: number
  /** Since when the snapshot is old news; null = it is fresh. */
  readonly staleSince: string | null
}

export interface Size {
  readonly columns: number
  /** null = as many lines as there are. */
  readonly rows: number | null
}

const COLUMNS: readonly Column<QueueRow>[] = [
  { title: 'queue', value: (row) => row.name },
  { title: 'pending', value: (row) => count(row.pending), right: true },
  { title: 'leased', value: (row) => count(row.leased), right: true },
  { title: 'lag', value: (row) => ageSeconds(row.lagSeconds), right: true },
  { title: 'push/s', value: (row) => rate(row.pushPerSecond), right: true },
  { title: 'pop/s', value: (row) => rate(row.popPerSecond), right: true },
  { title: 'ack/s', value: (row) => rate(row.ackPerSecond), right: true },
  { title: 'fail/s', value: (row) => rate(row.failedPerSecond), right: true },
  { title: 'dlq', value: (row) => count(row.deadLetters), right: true },
  {
    title: 'groups behind',
    value: (row) => row.groups.map((group) => `${group.name} ${ageSeconds(group.lagSeconds)}`).join(', '),
  },
]

const SORT_VALUE: Readonly<Record<Exclude<Sort, 'name'>, (row: QueueRow) => number | null>> = {
  push: (row) => row.pushPerSecond,
  pop: (row) => row.popPerSecond,
  lag: (row) => row.lagSeconds,
  pending: (row) => row.pending,
}

export function sortedRows(rows: readonly QueueRow[], sort: Sort, filter: string): QueueRow[] {
  const shown = rows.filter((row) => row.name.toLowerCase().includes(filter.toLowerCase()))
  const byName = (a: QueueRow, b: QueueRow): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  if (sort === 'name') return shown.sort(byName)
  const value = SORT_VALUE[sort]
  // Unknown is not small: it comes last.
  return shown.sort((a, b) => (value(b) ?? -1) - (value(a) ?? -1) || byName(a, b))
}

export function frameLines(snapshot: Snapshot | null, view: View, size: Size, style: Style, nowMs: number): string[] {
  const top = headLines(snapshot, view, style, nowMs)
  if (snapshot === null) return top
  if (view.panel && snapshot.maintenance !== null) {
    const panel = maintenanceLines(snapshot.maintenance, { style, wide: false, headers: true, nowMs })
    return clip([...top, '', ...panel], size)
  }
  const rows = sortedRows(snapshot.queues ?? [], view.sort, view.filter)
  const [head = '', ...body] = renderTable(COLUMNS, rows, { wide: false, headers: true })
  const scrolled = body.slice(Math.min(view.scroll, Math.max(0, body.length - 1)))
  return clip(
    [...top, '', style.bold(fit(head, size.columns)), ...scrolled.map((line) => fit(line, size.columns))],
    size,
  )
}

function clip(lines: readonly string[], { rows }: Size): string[] {
  return rows === null ? [...lines] : lines.slice(0, rows)
}

function headLines(snapshot: Snapshot | null, view: View, style: Style, nowMs: number): string[] {
  const marks = [
    ...(view.paused ? ['paused'] : []),
    ...(view.staleSince === null ? [] : [`STALE, no broker answers since ${age(sinceMs(view.staleSince, nowMs))}`]),
  ].map((mark) => style.yellow(`[${mark}]`))
  if (snapshot === null) return [['queenctl top', ...marks].join('  ')]
  const { maintenance, totals } = snapshot
  const live = maintenance?.instances.filter((each) => each.live).length
  const phase = maintenance === null ? '-' : headline(maintenance).text
  const database = maintenance === null ? '-' : maintenance.stale ? 'cannot be read' : 'connected'
  const filter = view.filter === '' && !view.typing ? '' : `  filter /${view.filter}${view.typing ? '_' : ''}`
  return [
    [
      `Maintenance ${phase}`,
      `instances ${count(live)}/${count(maintenance?.instances.length)}`,
      `database ${database}`,
      ...marks,
    ].join('   '),
    `push ${rate(totals.pushPerSecond)}/s   pop ${rate(totals.popPerSecond)}/s   ack ${rate(totals.ackPerSecond)}/s   fail ${rate(totals.failedPerSecond)}/s   sorted by ${view.sort}${filter}`,
    ...snapshot.problems.map((problem) => style.dim(fit(`unknown: ${problem}`, 100))),
  ]
}
