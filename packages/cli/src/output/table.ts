/** Rows and columns as text. Pure; cells from outside are made safe here and nowhere else. */
import { padEnd, padStart, safeText, widthOf } from './text.ts'
import { UNKNOWN } from './values.ts'

export type Cell = string | number | boolean | null | undefined

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => Cell
  readonly right?: boolean
  /** Only in `wide`. */
  readonly wide?: boolean
}

export interface TableOptions {
  readonly wide: boolean
  readonly headers: boolean
}

const GAP = '  '

export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: TableOptions,
): string[] {
  const shown = columns.filter((column) => options.wide || column.wide !== true)
  const cells = rows.map((row) => shown.map((column) => cellText(column.value(row))))
  const lines = options.headers ? [shown.map((column) => column.title.toUpperCase()), ...cells] : cells
  const widths = shown.map((_, index) => lines.reduce((most, line) => Math.max(most, widthOf(line[index]!)), 0))
  return lines.map((line) =>
    line
      .map((text, index) => (shown[index]!.right ? padStart(text, widths[index]!) : padEnd(text, widths[index]!)))
      .join(GAP)
      .trimEnd(),
  )
}

export function cellText(value: Cell): string {
  if (value === null || value === undefined || value === '') return UNKNOWN
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return safeText(String(value))
}

/** Label and value, one a line. */
export function renderFields(fields: readonly (readonly [string, Cell])[]): string[] {
  const width = fields.reduce((most, [label]) => Math.max(most, widthOf(label)), 0)
  return fields.map(([label, value]) => `${padEnd(label, width)}${GAP}${cellText(value)}`)
}
