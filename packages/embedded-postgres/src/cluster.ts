/**
 * The data directory on disk: where it lies, who owns it, and its creation.
 *
 *   <dataDir>/                owned by the server's user, 0700
 *     postgres-18/            the cluster (PGDATA) of one major version
 *     password                the superuser's generated password, 0600
 *
 * Invariant: `postgres-<major>` is either absent or complete (initdb works beside it, a rename publishes it), and a
 * cluster of another major version is never overlooked: that would look like lost data.
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { findBinaries, type PostgresBinaries, type PostgresMajor } from './binaries.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { canReach, type ServerUser, serverUser } from './server-user.ts'
import { reachableBinaries, systemPlace } from './system-place.ts'

export interface Cluster {
  readonly binaries: PostgresBinaries
  readonly user: ServerUser | undefined
  /** What the caller asked for, or its stand-in when the server's user cannot reach that. */
  readonly dataDir: string
  readonly pgData: string
  readonly password: string
  readonly superuser: string
}

export interface OpenClusterOptions {
  readonly dataDir: string
  readonly major?: PostgresMajor
  readonly superuser: string
  /** Leave out the final sync of initdb: for data that is thrown away anyway. */
  readonly ephemeral: boolean
}

export async function openCluster(options: OpenClusterOptions): Promise<Cluster> {
  const found = findBinaries(options.major)
  const name = `postgres-${found.major}`
  let dataDir = resolve(options.dataDir)
  const user = serverUser(join(dataDir, name))
  if (user !== undefined && !canReach(user, dataDir)) dataDir = standIn(dataDir)
  const binaries = user === undefined ? found : reachableBinaries(found)

  makeDirectory(dataDir, user)
  const others = readdirSync(dataDir).filter((entry) => /^postgres-\d+$/.test(entry) && entry !== name)
  const pgData = join(dataDir, name)
  if (!existsSync(pgData) && others.length > 0) {
    throw new EmbeddedPostgresError(
      `${join(dataDir, others[0]!)} was made by another PostgreSQL version than ${found.major}; move its data with pg_dump or start with that version.`,
    )
  }
  const cluster = { binaries, user, dataDir, pgData, superuser: options.superuser }
  const passwordFile = join(dataDir, 'password')
  if (!existsSync(pgData)) await createCluster(cluster, passwordFile, options.ephemeral)
  checkOwner(pgData)
  return { ...cluster, password: readPassword(passwordFile) }
}

/** One stand-in for each wished path, so two clones of root do not share a database. */
function standIn(dataDir: string): string {
  const key = createHash('sha256').update(dataDir).digest('hex').slice(0, 12)
  return join(systemPlace(), `data-${key}`)
}

function makeDirectory(dir: string, user: ServerUser | undefined): void {
  try {
    if (!existsSync(dir)) {
      mkdirSync(dirname(dir), { recursive: true })
      mkdirSync(dir, { mode: 0o700 })
      if (user !== undefined) chownSync(dir, user.uid, user.gid)
    }
    accessSync(dir, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new EmbeddedPostgresError(`The data directory ${dir} cannot be written: ${(error as Error).message}`)
  }
}

async function createCluster(
  cluster: Omit<Cluster, 'password'>,
  passwordFile: string,
  ephemeral: boolean,
): Promise<void> {
  for (const entry of readdirSync(cluster.dataDir)) {
    if (entry.startsWith('initializing-')) rmSync(join(cluster.dataDir, entry), { recursive: true, force: true })
  }
  if (!existsSync(passwordFile)) {
    writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' })
    if (cluster.user !== undefined) chownSync(passwordFile, cluster.user.uid, cluster.user.gid)
  }
  const work = join(cluster.dataDir, `initializing-${randomBytes(4).toString('hex')}`)
  mkdirSync(work, { mode: 0o700 })
  if (cluster.user !== undefined) chownSync(work, cluster.user.uid, cluster.user.gid)
  const args = ['-D', work, '-U', cluster.superuser, '--pwfile', passwordFile]
  // Locale C needs nothing from the operating system and never changes its sort order under an index.
  args.push('--auth=scram-sha-256', '--encoding=UTF8', '--locale=C')
  if (ephemeral) args.push('--no-sync')
  // Detached: a terminal's Ctrl-C must not reach it before the process that waits for it decides.
  const initdb = spawn(join(cluster.binaries.root, 'bin', 'initdb'), args, {
    ...spawnIdentity(cluster.user),
    cwd: cluster.dataDir,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const complaint = text(initdb.stderr)
  const [code] = await once(initdb, 'close').catch((error: Error) => [error.message])
  if (code !== 0) {
    rmSync(work, { recursive: true, force: true })
    const reason = lastLines(await complaint) || String(code)
    throw new EmbeddedPostgresError(`initdb could not create the database cluster in ${cluster.dataDir}: ${reason}`)
  }
  renameSync(work, cluster.pgData)
}

/** uid, gid and a clean environment: PGPORT, PGDATA or LC_ALL of the caller must not reach the server. */
export function spawnIdentity(user: ServerUser | undefined) {
  const env: NodeJS.ProcessEnv = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  return user === undefined ? { env } : { env, uid: user.uid, gid: user.gid }
}

function checkOwner(pgData: string): void {
  const stat = statSync(pgData)
  const uid = process.getuid?.()
  if (uid !== undefined && uid !== 0 && stat.uid !== uid) {
    throw new EmbeddedPostgresError(
      `${pgData} belongs to another user (uid ${stat.uid}); start Queen as that user or as root.`,
    )
  }
  if ((stat.mode & 0o077) !== 0) chmodSync(pgData, 0o700) // a copied directory; the server would refuse it
}

function readPassword(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new EmbeddedPostgresError(
      `The password of the embedded PostgreSQL cannot be read: ${(error as Error).message}`,
    )
  }
}

export function lastLines(text: string): string {
  return text.trim().split('\n').slice(-4).join(' | ')
}
