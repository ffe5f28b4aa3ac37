/**
 * The SQL functions of this build, and how statements find them.
 *
 * Files and statements name a function queen.<name>. In the database it is called queen.<name>_<version>, where the
 * version is a hash over all function files of the build. So every build brings its own set: brokers of two builds
 * work on one database during a rolling upgrade, none can replace a function under another, and nothing has to be
 * dropped while it is in use (docs/decisions/versioned-sql-functions.md).
 *
 * Invariant: the same files give the same names. Only names followed by "(" and defined in the files are renamed.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface FunctionSet {
  /** 8 hex digits. */
  readonly version: string
  /** Unversioned names. */
  readonly names: readonly string[]
  /** SQL that creates the whole set, versioned. */
  readonly sql: string
  /** `text` with every call of one of the functions versioned. */
  bind(text: string): string
}

const FUNCTIONS_DIRECTORY = fileURLToPath(new URL('../../../sql/functions/', import.meta.url))
const DEFINITION = /\bCREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\s+queen\.(\w+)\s*\(/gi

export function readFunctions(directory: string = FUNCTIONS_DIRECTORY): FunctionSet {
  const files = readdirSync(directory)
    .filter((file) => file.endsWith('.sql'))
    .sort()
  return functionSet(files.map((file) => readFileSync(`${directory}/${file}`, 'utf8')))
}

export function functionSet(sources: readonly string[]): FunctionSet {
  const source = sources.join('\n')
  const version = createHash('sha256').update(source).digest('hex').slice(0, 8)
  const names = [...new Set([...source.matchAll(DEFINITION)].map((match) => match[1]!.toLowerCase()))].sort()
  // PostgreSQL cuts names at 63 bytes, and two cut names could meet.
  const long = names.find((name) => name.length > 63 - version.length - 1)
  if (long !== undefined) throw new Error(`the SQL function name ${long} is too long to be versioned`)
  const call = names.length === 0 ? null : new RegExp(`\\bqueen\\.(${names.join('|')})(?=\\s*\\()`, 'gi')
  const bind = (text: string): string => (call === null ? text : text.replace(call, `queen.$1_${version}`))
  return { version, names, sql: bind(source), bind }
}

let own: FunctionSet | null = null

/** The set of this build, read once. */
export function ownFunctions(): FunctionSet {
  own ??= readFunctions()
  return own
}
