/**
 * Variables that look like ours and are not: a misspelt setting must not be silently ignored. Only warns; the
 * environment is shared with every other program.
 */
import type { Environment } from './read-value.ts'
import { VARIABLES, type VariableName } from './variables.ts'

/** Prefixes nobody else uses. */
const OURS = /^(QUEEN_|FILE_BUFFER_)/
/** Ours as soon as one of them is used. PostgreSQL's own images set the other two. */
const BESIDE_HOST = /^PG_(?!(MAJOR|VERSION)$)/
/** Known to the tests; and PGHOST and its like, which steer psql. */
const NOT_OURS = /^(QUEEN_TEST_|PG[A-Z])/
/** What other programs call it. */
const OTHER_NAMES: ReadonlyMap<string, VariableName> = new Map([
  ['PG_HOSTNAME', 'PG_HOST'],
  ['PG_DATABASE', 'PG_DB'],
  ['PG_DBNAME', 'PG_DB'],
  ['PG_USERNAME', 'PG_USER'],
  ['PG_PASS', 'PG_PASSWORD'],
  ['PG_PWD', 'PG_PASSWORD'],
  ['PG_SSL', 'PG_USE_SSL'],
  ['PG_SSLMODE', 'PG_USE_SSL'],
  ['PG_SSL_MODE', 'PG_USE_SSL'],
])
const EDITS_MAX = 2
/** Short names are two edits away from too much: HOST and POST, PORT and SORT. */
const NAME_CHARS_MIN = 7

export function nearMisses(env: Environment): string[] {
  const known = Object.keys(VARIABLES)
  const besideHost = (env.PG_HOST ?? '') !== ''
  const warnings: string[] = []
  for (const name of Object.keys(env)) {
    if (Object.hasOwn(VARIABLES, name) || NOT_OURS.test(name)) continue
    const close =
      OTHER_NAMES.get(name) ?? known.find((each) => each.length >= NAME_CHARS_MIN && within(name, each, EDITS_MAX))
    if (close !== undefined) warnings.push(`${name} is not a setting and has no effect; ${close} is.`)
    else if (OURS.test(name) || (besideHost && BESIDE_HOST.test(name)))
      warnings.push(`${name} is not a setting and has no effect.`)
  }
  return warnings
}

/** Whether `a` becomes `b` by at most `max` insertions, deletions or replacements of a character. */
function within(a: string, b: string, max: number): boolean {
  if (Math.abs(a.length - b.length) > max) return false
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]! <= max
}
