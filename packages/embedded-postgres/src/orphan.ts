/**
 * A server that outlived the process that started it.
 *
 * Two nets: a watchdog, a shell that waits on a pipe from us and stops the server when the pipe breaks (we were killed);
 * and, at the next start, `postmaster.pid`, should the watchdog have been killed too.
 *
 * Invariant: a server whose owner still lives is never stopped by another start; that start is refused.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { spawnIdentity } from './cluster.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { isAlive, signalOne } from './process-tree.ts'
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

/** Remembers who started the server; read by the next start when it finds the server alive. */
export function writeOwner(dataDir: string): void {
  writeFileSync(join(dataDir, 'owner'), JSON.stringify({ pid: process.pid, startedAt: startTime(process.pid) }), {
    mode: 0o600,
  })
}

/** Ends an orphan of an earlier run; returns when the data directory is free. */
export async function clearOrphan(dataDir: string, pgData: string): Promise<'free' | 'stopped'> {
  const pid = postmasterPid(pgData)
  if (pid === undefined || pid === process.pid || !isAlive(pid) || !isServerOf(pid, pgData)) return 'free'
  const owner = readOwner(dataDir)
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

/** The number in a stale file may meanwhile belong to any process. */
function isServerOf(pid: number, pgData: string): boolean {
  if (process.platform !== 'linux') return true
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(pgData)
  } catch {
    return false
  }
}

function readOwner(dataDir: string): { pid: number; startedAt: string | undefined } | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'owner'), 'utf8'))
  } catch {
    return undefined
  }
}

/** Tells a process from a later one with the same number. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
