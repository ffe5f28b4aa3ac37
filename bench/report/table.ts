/** The results as a person reads them. */
import { type Goal, isMet } from './goals.ts'
import { medians, type Results } from './results.ts'

const MIB = 1024 * 1024
/** Figures with a column of their own; what else a row has is listed behind them. */
const COLUMNS: readonly (readonly [title: string, name: string, format: (value: number) => string])[] = [
  ['msg/s', 'messagesPerSecond', (value) => Math.round(value).toLocaleString('en')],
  ['p50 ms', 'p50Ms', (value) => value.toFixed(2)],
  ['p99 ms', 'p99Ms', (value) => value.toFixed(2)],
  ['RSS MiB', 'rssBytes', (value) => String(Math.round(value / MIB))],
  ['peak', 'rssPeakBytes', (value) => String(Math.round(value / MIB))],
  ['broker µs', 'brokerMicros', (value) => value.toFixed(1)],
  ['postgres µs', 'postgresMicros', (value) => value.toFixed(1)],
  ['load µs', 'loadMicros', (value) => value.toFixed(1)],
]

export function resultsTable(results: Results): string {
  const known = new Set(COLUMNS.map(([, name]) => name))
  const lines = [['', ...COLUMNS.map(([title]) => title), '']]
  for (const result of results.values()) {
    const figures = medians(result)
    const others = Object.entries(figures)
      .filter(([name]) => !known.has(name))
      .map(([name, value]) => `${name} ${value.toFixed(2)}`)
    const failed = result.errors.length > 0 ? [`FAILED: ${result.errors[0]}`] : []
    lines.push([
      result.name,
      ...COLUMNS.map(([, name, format]) => (Number.isNaN(figures[name] ?? Number.NaN) ? '' : format(figures[name]!))),
      [...others, ...failed].join(', '),
    ])
  }
  return aligned(lines)
}

export function goalsTable(goals: readonly Goal[]): string {
  return aligned(
    goals.map((goal) => {
      const wanted = [goal.min === undefined ? '' : `≥ ${goal.min}`, goal.max === undefined ? '' : `≤ ${goal.max}`]
      return [
        goal.name,
        goal.value.toFixed(2),
        wanted.filter((text) => text !== '').join(' '),
        isMet(goal) ? 'met' : 'NOT MET',
      ]
    }),
  )
}

/** First and last column to the left, the others to the right. */
function aligned(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map((line) =>
      line
        .map((text, column) =>
          column === 0 || column === line.length - 1 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
