/**
 * The benchmark's executable: rounds of rows on a rig of its own, then a table and a file.
 *
 * This process is the load. PostgreSQL, the broker and the ceiling are processes of their own and are ended with it.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { PROJECT_DIR } from '../scripts/installation.mjs'
import { OptionError, type Options, readOptions, USAGE } from './options.ts'
import { goals, isMet } from './report/goals.ts'
import { commit, machine } from './report/machine.ts'
import { medians, type RowResult } from './report/results.ts'
import { goalsTable, resultsTable } from './report/table.ts'
import { Rig } from './rig/rig.ts'
import { allRows } from './rows/all-rows.ts'
import { measure } from './rows/measure.ts'
import type { Row } from './rows/row.ts'
import { warmUp } from './rows/warm-up.ts'

async function run(options: Options): Promise<number> {
  const rows = chosenRows(options.rows)
  if (rows.length === 0) throw new OptionError(`no row is named like ${options.rows.join(' or ')}; see --list`)
  const results = new Map(
    rows.map(({ name, about }) => [name, { name, about, rounds: new Map(), errors: [] } as RowResult]),
  )
  const rig = await Rig.open(options)
  endWith(rig)
  try {
    for (let number = 1; number <= options.rounds; number++) await runRound(rig, number, rows, results, options)
  } finally {
    await rig.close()
    progress('')
  }
  process.stdout.write(`${resultsTable(results)}\n\n${goalsTable(goals(results))}\n`)
  const file = writeResults(results, options)
  process.stdout.write(`\n${file}\n`)
  return [...results.values()].some(({ errors }) => errors.length > 0) ? 1 : 0
}

/** A part that is a row's whole name means that row alone. */
function chosenRows(parts: readonly string[]): Row[] {
  const rows = allRows()
  const exact = new Set(rows.map(({ name }) => name).filter((name) => parts.includes(name)))
  const matches = (name: string): boolean => parts.some((part) => !exact.has(part) && name.includes(part))
  return rows.filter(({ name }) => parts.length === 0 || exact.has(name) || matches(name))
}

async function runRound(
  rig: Rig,
  number: number,
  rows: readonly Row[],
  results: ReadonlyMap<string, RowResult>,
  { rounds, seconds }: Options,
): Promise<void> {
  progress(`round ${number} of ${rounds}: starting`)
  const round = await rig.openRound()
  try {
    let warm = false
    for (const row of rows) {
      if (!warm && row.name !== 'idle') {
        progress(`round ${number} of ${rounds}: warming up`)
        await warmUp(round)
        warm = true
      }
      progress(`round ${number} of ${rounds}: ${row.name}`)
      const { rounds: found, errors } = results.get(row.name)!
      try {
        found.set(number, await measure(row, { rig, round, seconds, queue: row.name }))
      } catch (error) {
        errors.push((error as Error).message)
        progress('')
        process.stderr.write(`bench: ${row.name} failed in round ${number}: ${(error as Error).stack}\n`)
      }
    }
  } finally {
    await round.close()
  }
}

function writeResults(results: ReadonlyMap<string, RowResult>, { jsonFile, seconds, rounds }: Options): string {
  const where = machine()
  const what = commit()
  const file = resolve(jsonFile ?? join(PROJECT_DIR, 'bench', 'results', 'local', `${where.name}-${what}.json`))
  const content = {
    at: new Date().toISOString(),
    commit: what,
    machine: where,
    seconds,
    rounds,
    goals: goals(results).map((goal) => ({ ...goal, met: isMet(goal) })),
    rows: [...results.values()].map((result) => ({
      name: result.name,
      about: result.about,
      median: medians(result),
      rounds: [...result.rounds.values()],
      errors: result.errors,
    })),
  }
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
  return file
}

/** One line that is written over; without a terminal a line each. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
  else if (text !== '') process.stderr.write(`${text}\n`)
}

/** Ctrl-C in the middle: the servers go with us, and their data. */
function endWith(rig: Rig): void {
  let ending = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // npm passes on what the terminal has sent already.
      if (ending) return
      ending = true
      void rig.close().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
    })
  }
}

try {
  const options = readOptions(process.argv.slice(2))
  if (options.help) process.stdout.write(USAGE)
  else if (options.list) for (const { name, about } of allRows()) process.stdout.write(`${name.padEnd(26)} ${about}\n`)
  else process.exitCode = await run(options)
} catch (error) {
  if (!(error instanceof OptionError)) throw error
  process.stderr.write(`bench: ${error.message}\n`)
  process.exitCode = 2
}
