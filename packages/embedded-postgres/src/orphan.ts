/**
 * A server that outlived the process that started it.
 *
 * Two nets: a watchdog, a shell that waits on a pipe from us and stops the server when the pipe breaks (we were killed);
 * and, at the next start, `postmaster.pid`, should the watchdog have been killed too.
 *
 * Invariant: a server whose owner still lives is never stopped by another start; that start is refused.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { spawnIdentity } from './cluster.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { isAlive, signalOne, startTime } from './process-tree.ts'
import type { ServerUser } from './server-user.ts'

/** A fast stop writes a checkpoint: 3 GB of WAL take a slow disk well over ten seconds. */
const FAST_STOP_TIMEOUT_MS = 30_000
const POLL_MS = 20

/** $1 server, $2 signal, $3 directory to delete afterwards (empty: none). */
const WATCHDOG = `
read -r _
kill -"$2" "$1" 2>/dev/null; kill -CONT "$1" 2>/dev/null
[ -n "$3" ] || exit 0
n=0; while kill -0 "$1" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
rm -rf -- "$3"`

export function startWatchdog(
  serverPid: number,
  user: ServerUser | undefined,
  deleteDir: string | undefined,
): ChildProcess {
  const args = [
    '-c',
    WATCHDOG,
    'queen-watchdog',
    String(serverPid),
    deleteDir === undefined ? 'INT' : 'QUIT',
    deleteDir ?? '',
  ]
  // Detached: Ctrl-C in the terminal is ours to handle, in order.
  const watchdog = spawn('/bin/sh', args, {
    ...spawnIdentity(user),
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watchdog.on('error', () => {}) // without a shell there is only the second net
  watchdog.stdin?.on('error', () => {})
  watchdog.unref()
  return watchdog
}

export function stopWatchdog(watchdog: ChildProcess): void {
  if (watchdog.exitCode === null) watchdog.kill('SIGKILL')
}

/** Ends an orphan of an earlier run, with the directory's lock held; returns when the data directory is free. */
export async function clearOrphan(dataDir: string, pgData: string): Promise<'free' | 'stopped'> {
  const pid = postmasterPid(pgData)
  if (pid === undefined || pid === process.pid || !isAlive(pid)) return 'free'
  if (serves(pid, pgData) !== 'yes') {
    removeStalePid(pgData)
    return 'free'
  }
  const owner = earlierOwner(dataDir)
  if (owner !== undefined && isAlive(owner.pid) && startTime(owner.pid) === owner.startedAt) {
    throw new EmbeddedPostgresError(
      `${dataDir} is in use by another Queen (process ${owner.pid}); stop it or set QUEEN_DATA_DIR.`,
    )
  }
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    signalOne(pid, signal)
    signalOne(pid, 'SIGCONT')
    const end = performance.now() + FAST_STOP_TIMEOUT_MS
    while (performance.now() < end) {
      if (!isAlive(pid)) return 'stopped'
      await pause(POLL_MS)
    }
  }
  throw new EmbeddedPostgresError(
    `A PostgreSQL server of an earlier run (process ${pid}) does not stop; end it by hand.`,
  )
}

function postmasterPid(pgData: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(pgData, 'postmaster.pid'), 'utf8').split('\n')[0])
    return Number.isInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

/**
 * Whether a process belongs to the server of this directory; the number in a stale file may meanwhile be anybody's.
 * Every process of a server works in its data directory. A container forbids even root to look where another user's
 * process works: then one that has the right owner and the name of a PostgreSQL may be it.
 */
function serves(pid: number, pgData: string): 'yes' | 'maybe' | 'no' {
  if (process.platform !== 'linux') return 'yes'
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    if (command.split('\0').includes(pgData)) return 'yes'
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(pgData) ? 'yes' : 'no'
    } catch {
      const isPostgres = /^([^\0]*\/)?postgres[:\0]/.test(command)
      return isPostgres && statSync(`/proc/${pid}`).uid === statSync(pgData).uid ? 'maybe' : 'no'
    }
  } catch {
    return 'no' // it ended while we were looking
  }
}

/**
 * A file with the number of a stranger keeps PostgreSQL from starting for as long as the stranger lives; in a container,
 * where the numbers are the same after every start, for good. It goes only when no process at all may serve the
 * directory: backends that outlive their server must not be overlooked.
 */
function removeStalePid(pgData: string): void {
  for (const entry of readdirSync('/proc')) {
    if (/^\d+$/.test(entry) && serves(Number(entry), pgData) !== 'no') return
  }
  rmSync(join(pgData, 'postmaster.pid'), { force: true })
}

/** Written by versions that did not lock the directory. */
function earlierOwner(dataDir: string): { pid: number; startedAt: string | undefined } | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'owner'), 'utf8'))
  } catch {
    return undefined
  }
}
