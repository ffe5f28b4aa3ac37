/**
 * Which operating system user runs the server. PostgreSQL refuses to run as root, so root steps down to an existing,
 * unprivileged user; everybody else runs it as themselves.
 *
 * Never creates users.
 */
import { readFileSync, type Stats, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { EmbeddedPostgresError } from './errors.ts'

export interface ServerUser {
  readonly uid: number
  readonly gid: number
  readonly name: string
}

/** In this order: PostgreSQL's own user where a distribution made one, then the user that owns nothing. */
const CANDIDATES = ['postgres', '_postgres', 'nobody']

/**
 * @param clusterDir when it exists, its owner runs it again
 * @returns undefined when this process may run the server itself
 */
export function serverUser(clusterDir: string): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4)
    .map((fields) => ({ name: fields[0]!, uid: Number(fields[2]), gid: Number(fields[3]) }))
  const owner = statSync(clusterDir, { throwIfNoEntry: false })?.uid
  const user =
    owner !== undefined && owner !== 0
      ? users.find((each) => each.uid === owner)
      : CANDIDATES.map((name) => users.find((each) => each.name === name)).find((each) => each !== undefined)
  // A negative id ("nobody" is -2 on macOS) is the unsigned number of the same bits.
  if (user !== undefined) return { name: user.name, uid: user.uid >>> 0, gid: user.gid >>> 0 }
  throw new EmbeddedPostgresError(
    'PostgreSQL refuses to run as root and neither "postgres" nor "nobody" exists here; start Queen as an ordinary user or set DATABASE_URL.',
  )
}

/** The first directory on the way down to `path` (as far as it exists) that `user` may not enter. */
export function barrier(user: ServerUser, path: string): string | undefined {
  let found: string | undefined
  for (let dir = dirname(resolve(path)); ; dir = dirname(dir)) {
    const stat = statSync(dir, { throwIfNoEntry: false })
    // A file where a directory should be is another error, reported where the directory is created.
    if (stat?.isDirectory() && !allows(user, stat, 0o1)) found = dir
    if (dir === dirname(dir)) return found
  }
}

export function canWrite(user: ServerUser, dir: string): boolean {
  return allows(user, statSync(dir), 0o3)
}

/** Permissions as the last digit of a mode has them. */
function allows(user: ServerUser, stat: Stats, permissions: number): boolean {
  const shift = stat.uid === user.uid ? 6 : stat.gid === user.gid ? 3 : 0
  return ((stat.mode >> shift) & permissions) === permissions
}
