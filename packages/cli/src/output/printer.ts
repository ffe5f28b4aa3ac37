/**
 * Results on stdout, in the format that was asked for. Tables are for eyes; every other format shows the broker's
 * answer with all its fields, or for a list its rows.
 */

import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import type { Format } from './format.ts'
import { evaluateJsonPath } from './jsonpath.ts'
import { type Cell, type Column, renderFields, renderTable } from './table.ts'

export interface List<Row> {
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
}

export interface Printer {
  readonly format: Format
  list<Row>(list: List<Row>): Promise<void>
  /** `fields` for tables, `answer` for everything else. */
  record(answer: unknown, fields: readonly (readonly [string, Cell])[]): Promise<void>
  /** As `record`, but the text for eyes is ready. */
  text(answer: unknown, lines: readonly string[]): Promise<void>
  /** One line as it is, whatever the format. */
  line(text: string): Promise<void>
}

/** `columns`: of the terminal that the tables go to, or undefined where it is none: a file or a pipe gets all of a table. */
export function createPrinter(
  format: Format,
  headers: boolean,
  write: (text: string) => Promise<void>,
  columns?: number,
): Printer {
  const writeLines = (lines: readonly string[]) =>
    lines.length === 0 ? Promise.resolve() : write(`${lines.join('\n')}\n`)
  const wide = format.kind === 'wide'
  const room = wide || columns === undefined ? {} : { columns }

  const writeData = async (data: unknown): Promise<void> => {
    switch (format.kind) {
      case 'ndjson':
        return writeLines((Array.isArray(data) ? data : [data]).map((row) => JSON.stringify(row)))
      case 'yaml': {
        const { stringify } = await import('yaml')
        // Through JSON: numbers that were kept as text are objects until then.
        return write(stringify(JSON.parse(JSON.stringify(data))))
      }
      case 'jsonpath': {
        const found = evaluateJsonPath(format.path, data)
        if (found.length === 0) throw new CliError('nothing is there', { exit: EXIT.nothing, code: 'NO_MATCH' })
        return writeLines(found.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))))
      }
      default:
        return write(`${JSON.stringify(data, null, 2)}\n`)
    }
  }

  const forEyes = format.kind === 'table' || format.kind === 'wide'
  return {
    format,
    list: (list) =>
      forEyes ? writeLines(renderTable(list.columns, list.rows, { wide, headers, ...room })) : writeData(list.rows),
    record: (answer, fields) => (forEyes ? writeLines(renderFields(fields)) : writeData(answer)),
    text: (answer, lines) => (forEyes ? writeLines(lines) : writeData(answer)),
    line: (text) => write(`${text}\n`),
  }
}
