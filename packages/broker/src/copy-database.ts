/**
 * `npm run copy-database -- --from URL --to URL`: the executable around store/copy-database.ts. URLs may also come from
 * FROM_DATABASE_URL and TO_DATABASE_URL, which no list of processes shows.
 *
 * Exit codes: 0 copied; 1 something broke, the new database is as it was; 2 refused, one sentence says why.
 */
import { parseArgs } from 'node:util'
import { CopyRefused, copyDatabase } from './store/copy-database.ts'

const USAGE = `npm run copy-database -- --from URL --to URL [--consumers-running]

Copies everything Queen keeps from the old PostgreSQL into an empty database of the new one, of any version from 15.
Needs maintenance mode on, pop maintenance on, and no live lease; see docs/operating/maintenance.md.

  --from, FROM_DATABASE_URL   the old database
  --to, TO_DATABASE_URL       the new one
  --consumers-running         do not ask for the consumers to rest: what they ack from now on is delivered again
`

function stop(code: number, text: string): never {
  process.stderr.write(text)
  process.exit(code)
}

function readOptions() {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({ options: { from: text, to: text, 'consumers-running': flag, help: flag } }).values
  } catch (error) {
    return stop(2, `copy-database: ${(error as Error).message}\n`)
  }
}

const values = readOptions()
if (values.help === true) {
  process.stdout.write(USAGE)
  process.exit(0)
}
const from = values.from ?? process.env.FROM_DATABASE_URL
const to = values.to ?? process.env.TO_DATABASE_URL
if (from === undefined || to === undefined) stop(2, USAGE)
try {
  const startedAt = performance.now()
  const { rows, tables } = await copyDatabase({
    from,
    to,
    consumersRunning: values['consumers-running'] === true,
    onTable: (table, count) => process.stdout.write(`${table.padEnd(24)}${count} rows\n`),
  })
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  process.stdout.write(`copied ${rows} rows of ${tables} tables in ${seconds} s; both databases have the same counts\n`)
} catch (error) {
  if (error instanceof CopyRefused) stop(2, `copy-database: ${error.message}.\n`)
  stop(1, `copy-database: ${(error as Error).message}\n`)
}
