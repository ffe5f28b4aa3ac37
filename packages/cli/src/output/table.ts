/** Rows and columns as text. Pure; cells from outside are made safe here and nowhere else. */
import { fit, padEnd, padStart, safeText, widthOf } from './text.ts'
import { UNKNOWN } from './values.ts'

export type Cell = string | number | boolean | null | undefined

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => Cell
  readonly right?: boolean
  /** Only in `wide`. */
  readonly wide?: boolean
  /** Where the terminal is too narrow: left out, those with a higher number first. */
  readonly drop?: number
  /** Where the terminal is too narrow: cut. */
  readonly cut?: boolean
}

export interface TableOptions {
  readonly wide: boolean
  readonly headers: boolean
  /** The widest a line may be; without it a table is as wide as it is. */
  readonly columns?: number
}

const GAP = '  '
/** A name that is cut keeps so much before a column is left out for its sake. */
const CUT_WIDTH_MIN = 16

export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: TableOptions,
): string[] {
  const wanted = columns.filter((column) => options.wide || column.wide !== true)
  const cells = rows.map((row) => wanted.map((column) => cellText(column.value(row))))
  const lines = options.headers ? [wanted.map((column) => column.title.toUpperCase()), ...cells] : cells
  const natural = wanted.map((_, index) => lines.reduce((most, line) => Math.max(most, widthOf(line[index]!)), 0))
  const widths = fitted(wanted, natural, options.columns ?? Number.POSITIVE_INFINITY)
  return lines.map((line) =>
    line
      .flatMap((text, index) => {
        const width = widths[index]!
        if (width === 0) return []
        return wanted[index]!.right ? padStart(text, width) : padEnd(fit(text, width), width)
      })
      .join(GAP)
      .trimEnd(),
  )
}

/** The width of each column; 0 = left out. */
function fitted(columns: readonly Column<never>[], natural: readonly number[], columnsMax: number): number[] {
  const widths = [...natural]
  const excess = (): number =>
    widths.reduce((sum, width) => sum + (width === 0 ? 0 : width + GAP.length), -GAP.length) - columnsMax
  const cutTo = (least: number): void => {
    for (const [index, column] of columns.entries()) {
      if (column.cut && widths[index]! > least) widths[index] = Math.max(least, widths[index]! - Math.max(0, excess()))
    }
  }
  cutTo(CUT_WIDTH_MIN)
  const droppable = [...columns.keys()].filter((index) => columns[index]!.drop !== undefined)
  for (const index of droppable.sort((a, b) => columns[b]!.drop! - columns[a]!.drop!)) {
    if (excess() <= 0) break
    widths[index] = 0
  }
  // What was cut for the sake of columns that have gone may have its room back.
  for (const [index, column] of columns.entries()) {
    if (column.cut && excess() < 0) widths[index] = Math.min(natural[index]!, widths[index]! - excess())
  }
  cutTo(4)
  return widths
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
