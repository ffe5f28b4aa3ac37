/**
 * What lies in the data directory, and its creation. Where the directory lies is decided in data-place.ts.
 *
 *   <dataDir>/                owned by the server's user, 0700
 *     postgres-18/            the cluster (PGDATA) of one major version
 *     password                the superuser's generated password, 0600
 *     lock.<generation>       who works in here (directory-lock.ts)
 *
 * Invariant: `postgres-<major>` is either absent or complete (initdb works beside it, a rename publishes it), and a
 * cluster of another major version is never overlooked: that would look like lost data.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { findBinaries, type PostgresBinaries, type PostgresMajor } from './binaries.ts'
import { type DataPlace, openDataPlace } from './data-place.ts'
import { EmbeddedPostgresError } from './errors.ts'
import type { ServerUser } from './server-user.ts'
import { reachableBinaries } from './system-place.ts'

export interface ClusterPlace extends DataPlace {
  readonly binaries: PostgresBinaries
  readonly pgData: string
}

/** Where the cluster lies or will lie. Its directory is there afterwards; whoever goes on takes its lock first. */
export function placeCluster(dataDir: string, major: PostgresMajor | undefined, ephemeral: boolean): ClusterPlace {
  const found = findBinaries(major)
  const name = `postgres-${found.major}`
  const place = openDataPlace(dataDir, name, !ephemeral)
  const binaries = place.user === undefined ? found : reachableBinaries(found)
  return { ...place, binaries, pgData: join(place.dataDir, name) }
}

export interface Cluster extends ClusterPlace {
  readonly password: string
  readonly superuser: string
}

export interface OpenClusterOptions {
  readonly superuser: string
  /** Leave out the final sync of initdb: for data that is thrown away anyway. */
  readonly ephemeral: boolean
}

/** To be called with the directory's lock held. */
export async function openCluster(place: ClusterPlace, options: OpenClusterOptions): Promise<Cluster> {
  const { dataDir, pgData } = place
  const name = basename(pgData)
  const others = readdirSync(dataDir).filter((entry) => /^postgres-\d+$/.test(entry) && entry !== name)
  if (!existsSync(pgData) && others.length > 0) {
    throw new EmbeddedPostgresError(
      `${join(dataDir, others[0]!)} was made by another PostgreSQL version than ${place.binaries.major}; move its data with pg_dump or start with that version.`,
    )
  }
  const cluster = { ...place, superuser: options.superuser }
  const passwordFile = join(dataDir, 'password')
  if (!existsSync(pgData)) await createCluster(cluster, passwordFile, options.ephemeral)
  checkOwner(pgData)
  return { ...cluster, password: readPassword(passwordFile) }
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
