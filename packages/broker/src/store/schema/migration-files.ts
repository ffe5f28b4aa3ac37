/**
 * The migrations of this build: files named NNNN_what_it_does.sql, numbered from 0001 without a gap.
 * Their content is final once released; the ledger compares checksums.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface Migration {
  readonly version: number
  /** File name without .sql */
  readonly name: string
  readonly sql: string
  /** SHA-256, hex. */
  readonly checksum: string
}

const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('../../../sql/migrations/', import.meta.url))
const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/

export function readMigrations(directory: string = MIGRATIONS_DIRECTORY): Migration[] {
  const files = readdirSync(directory)
    .filter((file) => file.endsWith('.sql'))
    .sort()
  return files.map((file, index) => {
    const version = Number(FILE_NAME.exec(file)?.[1])
    if (version !== index + 1) throw new Error(`migration ${file} does not continue the numbering`)
    return migration(version, file.slice(0, -'.sql'.length), readFileSync(`${directory}/${file}`, 'utf8'))
  })
}

export function migration(version: number, name: string, sql: string): Migration {
  // A checkout with other line ends is still the same migration.
  const checksum = createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex')
  return { version, name, sql, checksum }
}

let own: readonly Migration[] | null = null

export function ownMigrations(): readonly Migration[] {
  own ??= readMigrations()
  return own
}
