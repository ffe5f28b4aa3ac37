/** One column of a DataTable. Cells are drawn by the slot `cell-<key>`, or as the text of `value`. */
export interface TableColumn<Row> {
  readonly key: string
  readonly label: string
  /** Numbers stand right. */
  readonly align?: 'left' | 'right'
  /** What is shown without a slot, and what is sorted by. null sorts last, whichever way. */
  readonly value?: (row: Row) => string | number | null | undefined
  /** Of values that are not shown as they are. */
  readonly format?: (value: string | number | null | undefined) => string
  readonly sortable?: boolean
  /** CSS width, e.g. `8rem`. */
  readonly width?: string
  /** Left out on screens narrower than this, where it matters least. */
  readonly from?: 'sm' | 'md' | 'lg' | 'xl' | '2xl'
  /** Seen by readers of the screen only, e.g. of row menus. */
  readonly hideLabel?: boolean
}

export interface TableSort {
  readonly key: string
  readonly descending: boolean
}

/** Text in the order of people (item 2 before item 10), numbers by size, unknown last. */
export function sortRows<Row>(
  rows: readonly Row[],
  columns: readonly TableColumn<Row>[],
  sort: TableSort | null | undefined,
): readonly Row[] {
  const value = columns.find((column) => column.key === sort?.key)?.value
  if (sort === null || sort === undefined || value === undefined) return rows
  const direction = sort.descending ? -1 : 1
  return [...rows].sort((left, right) => {
    const [a, b] = [value(left) ?? null, value(right) ?? null]
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1
    return direction * (typeof a === 'number' && typeof b === 'number' ? a - b : TEXT.compare(String(a), String(b)))
  })
}

const TEXT = new Intl.Collator('en', { numeric: true })
