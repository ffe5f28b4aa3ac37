/**
 * Where root keeps what the unprivileged server user must reach: a copy of the binaries, and data directories whose
 * wished place lies under a directory that this user cannot enter (a clone under /root, say).
 *
 * Invariant: the place belongs to root and nobody else can write to it, so nobody can plant a link or a binary there.
 * A place that does not satisfy this is refused, never repaired.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PostgresBinaries } from './binaries.ts'
import { EmbeddedPostgresError } from './errors.ts'

/** The first whose parent exists and can be written; the last one always exists but does not survive every reboot. */
export const PLACES: readonly string[] = ['/var/lib/queen', '/usr/local/var/queen', join(tmpdir(), 'queen-root')]

export function systemPlace(places: readonly string[] = PLACES): string {
  for (const place of places) {
    try {
      mkdirSync(place, { mode: 0o755 })
      chmodSync(place, 0o755) // the umask may have taken the right to enter
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') continue
    }
    if (!isSystemPlace(place)) {
      throw new EmbeddedPostgresError(
        `${place} must be a directory that belongs to root and that nobody else can write to.`,
      )
    }
    return place
  }
  throw new EmbeddedPostgresError(`None of ${places.join(', ')} can be created for the embedded PostgreSQL.`)
}

export function isSystemPlace(place: string): boolean {
  const stat = lstatSync(place, { throwIfNoEntry: false })
  return stat?.isDirectory() === true && stat.uid === 0 && (stat.mode & 0o022) === 0
}

/** Copies the server once per version (about 60 MB); a copy that lacks a file or a byte is made anew. */
export function reachableBinaries(binaries: PostgresBinaries): PostgresBinaries {
  const copy = join(systemPlace(), `postgresql-${binaries.version}`)
  if (existsSync(copy) && isComplete(binaries.root, copy)) return { ...binaries, root: copy }
  const fresh = `${copy}.${randomBytes(6).toString('hex')}`
  try {
    cpSync(binaries.root, fresh, { recursive: true, verbatimSymlinks: true, filter: isNeeded })
    openForReading(fresh)
    if (existsSync(copy)) renameSync(copy, `${fresh}.broken`)
    renameSync(fresh, copy)
  } catch (error) {
    // Another start that finished the same copy a moment ago has done our work.
    if (!existsSync(copy) || !isComplete(binaries.root, copy)) throw error
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(`${fresh}.broken`, { recursive: true, force: true })
  }
  return { ...binaries, root: copy }
}

/** Static archives and build files serve compilers only. */
function isNeeded(path: string): boolean {
  return !path.endsWith('.a') && !path.endsWith('pkgconfig')
}

function isComplete(source: string, copy: string): boolean {
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    const from = join(source, entry.name)
    const to = join(copy, entry.name)
    if (!isNeeded(from)) continue
    if (entry.isDirectory()) {
      if (!existsSync(to) || !isComplete(from, to)) return false
    } else if (statSync(from).size !== statSync(to, { throwIfNoEntry: false })?.size) return false
  }
  return true
}

/** npm under a strict umask installs files that only root can read. */
function openForReading(dir: string): void {
  chmodSync(dir, 0o755)
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) openForReading(path)
    else if (entry.isFile()) chmodSync(path, (statSync(path).mode & 0o111) !== 0 ? 0o755 : 0o644)
  }
}
