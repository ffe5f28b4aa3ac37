/** A frame of `top` as lines. Pure: the snapshot, the view and the size are all it knows. */

import { maintenanceLines } from '../maintenance/view.ts'
import { headline } from '../maintenance/words.ts'
import { flow, wrap } from '../output/flow.ts'
import type { Style } from '../output/style.ts'
import { type Column, renderTable } from '../output/table.ts'
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
  { title: 'queue', value: (row) => row.name, cut: true },
  { title: 'pending', value: (row) => count(row.pending), right: true },
  { title: 'leased', value: (row) => count(row.leased), right: true, drop: 6 },
  { title: 'lag', value: (row) => ageSeconds(row.lagSeconds), right: true, drop: 1 },
  { title: 'push/s', value: (row) => rate(row.pushPerSecond), right: true, drop: 3 },
  { title: 'pop/s', value: (row) => rate(row.popPerSecond), right: true, drop: 4 },
  { title: 'ack/s', value: (row) => rate(row.ackPerSecond), right: true, drop: 5 },
  { title: 'fail/s', value: (row) => rate(row.failedPerSecond), right: true, drop: 7 },
  { title: 'dlq', value: (row) => count(row.deadLetters), right: true, drop: 2 },
  { title: 'groups behind', value: groupsBehind, cut: true, drop: 8 },
]

/** What the wire calls the consumers without a group. */
const QUEUE_MODE = '__QUEUE_MODE__'
const KEYS = ['q quit', 's sort', '/ filter', 'p pause', 'm maintenance', '↑↓ scroll']

function groupsBehind(row: QueueRow): string {
  const name = (group: string): string => (group === QUEUE_MODE ? '(no group)' : group)
  return row.groups.map((group) => `${name(group.name)} ${ageSeconds(group.lagSeconds)}`).join(', ')
}

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

/** `live`: somebody sits before it, so the keys are named. */
export function frameLines(
  snapshot: Snapshot | null,
  view: View,
  size: Size,
  style: Style,
  nowMs: number,
  live = false,
): string[] {
  const { columns } = size
  const foot = live ? flow(KEYS, '   ', columns).slice(0, 1).map(style.dim) : []
  const top = headLines(snapshot, view, size, style, nowMs)
  const body = snapshot === null ? [] : ['', ...bodyLines(snapshot, view, size, style, nowMs)]
  if (size.rows === null) return [...top, ...body, ...foot]
  const shown = [...top, ...body].slice(0, Math.max(0, size.rows - foot.length))
  const space = live ? Array<string>(size.rows - foot.length - shown.length).fill('') : []
  return [...shown, ...space, ...foot]
}

function bodyLines(snapshot: Snapshot, view: View, { columns }: Size, style: Style, nowMs: number): string[] {
  if (view.panel) {
    if (snapshot.maintenance === null) return ['The state of maintenance is not known.']
    return maintenanceLines(snapshot.maintenance, { style, wide: false, headers: true, nowMs, columns })
  }
  const rows = sortedRows(snapshot.queues ?? [], view.sort, view.filter)
  const [head = '', ...body] = renderTable(COLUMNS, rows, { wide: false, headers: true, columns })
  return [style.bold(head), ...body.slice(view.scroll)]
}

/** The last row can be scrolled to the top, not beyond. */
export function scrollMax(snapshot: Snapshot | null, view: View): number {
  return Math.max(0, sortedRows(snapshot?.queues ?? [], view.sort, view.filter).length - 1)
}

function headLines(snapshot: Snapshot | null, view: View, { columns }: Size, style: Style, nowMs: number): string[] {
  const marks = [
    ...(view.paused ? ['paused'] : []),
    ...(view.staleSince === null ? [] : [`STALE, no broker answers since ${age(sinceMs(view.staleSince, nowMs))}`]),
  ].map((mark) => style.yellow(`[${mark}]`))
  if (snapshot === null) return flow(['queenctl top', ...marks], '  ', columns)
  const { maintenance, totals } = snapshot
  const live = maintenance?.instances.filter((each) => each.live).length
  const database = maintenance === null ? '-' : maintenance.stale ? 'cannot be read' : 'connected'
  const filter = view.filter === '' && !view.typing ? [] : [`filter /${view.filter}${view.typing ? '_' : ''}`]
  return [
    ...flow(
      [
        `Maintenance ${maintenance === null ? '-' : headline(maintenance).text}`,
        `instances ${count(live)}/${count(maintenance?.instances.length)}`,
        `database ${database}`,
        ...marks,
      ],
      '   ',
      columns,
    ),
    ...flow(
      [
        `push ${rate(totals.pushPerSecond)}/s`,
        `pop ${rate(totals.popPerSecond)}/s`,
        `ack ${rate(totals.ackPerSecond)}/s`,
        `fail ${rate(totals.failedPerSecond)}/s`,
        `sorted by ${view.sort}`,
        ...filter,
      ],
      '   ',
      columns,
    ),
    ...snapshot.problems.flatMap((problem) => wrap(`unknown: ${problem}`, columns)).map(style.dim),
  ]
}
