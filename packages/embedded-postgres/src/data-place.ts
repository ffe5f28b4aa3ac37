/**
 * Where the data directory lies. In its wished place; or, when root starts Queen and the server's user cannot enter that,
 * in a stand-in in root's place.
 *
 *   <wished>.location               the path of the stand-in, beside the wished place; moves along with it
 *   /var/lib/queen/data-<key>/      the stand-in
 *     origin                        the path of the location file that names it
 *
 * Invariant: chosen once and then followed, whatever the directories around it may do: whether the server's user could
 * enter the wished place today is asked for a new database only. Data that cannot be reached, or that lies in two
 * places, is one sentence and never an empty database.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { EmbeddedPostgresError } from './errors.ts'
import { barrier, type ServerUser, serverUser } from './server-user.ts'
import { isSystemPlace, PLACES, systemPlace } from './system-place.ts'

export interface DataPlace {
  /** Exists, belongs to the server's user, and has no symbolic link in its path. */
  readonly dataDir: string
  readonly user: ServerUser | undefined
  readonly isStandIn: boolean
}

const CLUSTER = /^postgres-\d+$/
/** What this package itself puts into a data directory, and what an empty file system comes with. */
const OURS = /^(postgres-\d+|initializing-\w+|password|owner|origin|lock\..+|\.s\.PGSQL\..+|lost\+found)$/

/**
 * @param name of the cluster in it: its owner runs it again
 * @param remember whether a stand-in is to be found again
 */
export function openDataPlace(wishedDir: string, name: string, remember: boolean): DataPlace {
  const wished = realPath(resolve(wishedDir))
  const location = `${wished}.location`
  const isRoot = process.getuid?.() === 0
  const hasData = holdsCluster(wished)

  const named = readLine(location)
  // Only root ever has a stand-in; for any other user data in place is all there is.
  const standIns =
    named !== undefined ? [named] : isRoot || !hasData ? earlierStandIns([resolve(wishedDir), wished], location) : []
  const places = [...(hasData ? [wished] : []), ...standIns]
  if (places.length > 1) {
    throw new EmbeddedPostgresError(
      `There are several databases for ${wished}: ${places.join(' and ')}; move all but the one you want elsewhere${named === undefined ? '' : `, and ${location} when it names one of them`}.`,
    )
  }
  const [standIn] = standIns
  if (standIn !== undefined) {
    if (!isRoot) {
      throw new EmbeddedPostgresError(
        `The database of ${wished} lies in ${standIn}, because root started it; start Queen as root, or set QUEEN_DATA_DIR to begin with an empty one.`,
      )
    }
    followStandIn(standIn, location)
    return { dataDir: standIn, user: serverUser(join(standIn, name)), isStandIn: true }
  }

  const user = serverUser(join(wished, name))
  const closed = user === undefined ? undefined : barrier(user, wished)
  if (user === undefined || closed === undefined) {
    makeDirectory(wished, user)
    return { dataDir: wished, user, isStandIn: false }
  }
  if (hasData) {
    throw new EmbeddedPostgresError(
      `${wished} holds a database that the user ${user.name}, who runs it, cannot reach: let others enter ${closed} (chmod o+x), or move the data directory.`,
    )
  }
  const dataDir = makeStandIn(wished, location, user, remember)
  return { dataDir, user, isStandIn: true }
}

/** Of a path that may not exist yet: as far as it does. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if ((code === 'ENOENT' || code === 'ENOTDIR') && path !== dirname(path)) {
      return join(realPath(dirname(path)), basename(path))
    }
    return path
  }
}

/** Those that an earlier version chose by the path alone and wrote down nowhere. */
function earlierStandIns(wishes: readonly string[], location: string): string[] {
  const found = PLACES.filter(isSystemPlace)
    .flatMap((place) => wishes.map((wish) => join(place, `data-${keyOf(wish)}`)))
    .filter((dir) => isDirectory(dir) && holdsCluster(dir))
    .filter((dir) => process.getuid?.() !== 0 || !isTaken(dir, location))
  return [...new Set(found)]
}

function followStandIn(dir: string, location: string): void {
  if (!isSystemPlace(dirname(dir)) || !/^data-[0-9a-f]+$/.test(basename(dir))) {
    throw new EmbeddedPostgresError(`${location} names ${dir}, which is no place that Queen makes for a database.`)
  }
  if (!isDirectory(dir)) {
    throw new EmbeddedPostgresError(
      `The database that ${location} names, ${dir}, is gone: bring it back, or remove ${location} to begin with an empty one.`,
    )
  }
  if (isTaken(dir, location)) {
    throw new EmbeddedPostgresError(
      `${location} and ${readLine(join(dir, 'origin'))} name the same database, ${dir}: remove the one that is a copy; its Queen then begins with an empty one.`,
    )
  }
  // A clone that was moved is the origin from now on.
  writeLine(join(dir, 'origin'), location, 'replace')
  writeLine(location, dir, 'keep')
}

/** One stand-in for each wished place, so two clones of root do not share a database. */
function makeStandIn(wished: string, location: string, user: ServerUser, remember: boolean): string {
  let dir = join(systemPlace(), `data-${keyOf(wished)}`)
  if (isTaken(dir, location)) dir = join(systemPlace(), `data-${randomBytes(6).toString('hex')}`)
  makeDirectory(dir, user)
  if (!remember) return dir
  try {
    mkdirSync(dirname(location), { recursive: true })
    writeLine(join(dir, 'origin'), location, 'replace')
    writeLine(location, dir, 'keep')
  } catch (error) {
    throw new EmbeddedPostgresError(
      `Where the database lies cannot be written to ${location}: ${(error as Error).message}`,
    )
  }
  return readLine(location) ?? dir // another start may have been quicker
}

/** Whether a location file elsewhere names this stand-in. The same file by another path (a mount) is not elsewhere. */
function isTaken(dir: string, location: string): boolean {
  const origin = readLine(join(dir, 'origin'))
  if (origin === undefined || origin === location || readLine(origin) !== dir) return false
  const [there, here] = [statSync(origin), statSync(location, { throwIfNoEntry: false })]
  return here === undefined || here.ino !== there.ino || here.dev !== there.dev
}

function keyOf(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 12)
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** One that we cannot look into may hold anything. */
function holdsCluster(dir: string): boolean {
  try {
    return readdirSync(dir).some((entry) => CLUSTER.test(entry))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES'
  }
}

function readLine(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new EmbeddedPostgresError(`Where the database lies cannot be read: ${message}`)
  }
}

/** Never through a link that somebody planted: a new file, published whole. */
function writeLine(file: string, line: string, existing: 'keep' | 'replace'): void {
  if (readLine(file) === line) return
  const draft = `${file}.${randomUUID()}`
  writeFileSync(draft, `${line}\n`, { mode: 0o644, flag: 'wx' })
  try {
    if (existing === 'replace') renameSync(draft, file)
    else linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

function makeDirectory(dir: string, user: ServerUser | undefined): void {
  try {
    mkdirSync(dirname(dir), { recursive: true })
    try {
      mkdirSync(dir, { mode: 0o700 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if (user !== undefined) handOver(dir, user)
    accessSync(dir, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new EmbeddedPostgresError(`The data directory ${dir} cannot be written: ${(error as Error).message}`)
  }
}

/** One that root made for the purpose (a volume, say) becomes the server's; one with anything else in it stays as it is. */
function handOver(dir: string, user: ServerUser): void {
  if (statSync(dir).uid !== 0 || !readdirSync(dir).every((entry) => OURS.test(entry))) return
  chownSync(dir, user.uid, user.gid)
  chmodSync(dir, 0o700)
}
