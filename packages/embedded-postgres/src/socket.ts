/**
 * The Unix socket beside TCP: the same server for half the processor time a byte, in the data directory that nobody but
 * its owner can enter. Not every data directory can hold one, so it is always the second way and never the only one.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** What the shortest of the systems (macOS) allows for the path of a socket; Linux has room for 107. */
const PATH_BYTES_MAX = 103
const NAME = '.s.PGSQL.'

/** Where the server's socket goes, or null when its path would be too long or the system has none. */
export function socketDirectory(dataDir: string): string | null {
  if (process.platform === 'win32') return null
  return Buffer.byteLength(join(dataDir, `${NAME}65535`)) <= PATH_BYTES_MAX ? dataDir : null
}

/** As the setting takes it: a list, whose members may be quoted. */
export function socketSetting(directory: string | null): string {
  return directory === null ? '' : `"${directory.replaceAll('"', '""')}"`
}

/** Removes what a killed server left behind under a port that may never be used again. To be called with no server alive. */
export function removeStaleSockets(dataDir: string): void {
  for (const entry of readdirSync(dataDir)) {
    if (entry.startsWith(NAME)) rmSync(join(dataDir, entry), { force: true })
  }
}
