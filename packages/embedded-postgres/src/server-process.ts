/**
 * One run of the server: spawn, wait until it accepts connections, notice its end.
 *
 * The server is a direct child in its own session, so a terminal's Ctrl-C does not reach it before we decide. Its log
 * comes through a pipe; "ready" is read from there and never guessed from time. Never restarts anything by itself.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Cluster, lastLines, spawnIdentity } from './cluster.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { startWatchdog, stopWatchdog } from './orphan.ts'
import { signalTree } from './process-tree.ts'

/** Lines kept to explain a failed start. */
const LOG_TAIL_LINES = 20

export interface ServerExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ServerProcess {
  readonly pid: number
  readonly child: ChildProcess
  readonly exited: Promise<ServerExit>
}

export class PortInUse extends EmbeddedPostgresError {}

export interface LaunchOptions {
  readonly port: number
  readonly settings: Readonly<Record<string, string>>
  readonly log: (line: string) => void
  /** Crash recovery of a big WAL takes its time: only silence counts. */
  readonly silenceTimeoutMs: number
  readonly deleteWhenOrphaned: string | undefined
  /** The start is not wanted any more: it ends, also in the middle of a recovery, and rejects. */
  readonly givenUp?: AbortSignal | undefined
}

export async function launchServer(cluster: Cluster, options: LaunchOptions): Promise<ServerProcess> {
  options.givenUp?.throwIfAborted()
  const args = ['-D', cluster.pgData, '-p', String(options.port)]
  for (const [name, value] of Object.entries(options.settings)) args.push('-c', `${name}=${value}`)
  const child = spawn(join(cluster.binaries.root, 'bin', 'postgres'), args, {
    ...spawnIdentity(cluster.user),
    cwd: cluster.dataDir,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = new Promise<ServerExit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', () => resolve({ code: null, signal: null }))
  })
  await Promise.race([once(child, 'spawn'), exited])
  if (child.pid === undefined) throw new EmbeddedPostgresError('The PostgreSQL binary could not be executed.')
  const watchdog = startWatchdog(child.pid, cluster.user, options.deleteWhenOrphaned)
  void exited.then(() => stopWatchdog(watchdog))
  const server = { pid: child.pid, child, exited }
  const giveUp = () => void child.kill('SIGINT')
  options.givenUp?.addEventListener('abort', giveUp)
  if (options.givenUp?.aborted) giveUp()
  try {
    await untilReady(server, options)
  } catch (error) {
    // Of a failed start nothing may stay behind; a running recovery begins anew next time.
    if (child.exitCode === null && child.signalCode === null) signalTree(child.pid, 'SIGKILL')
    await exited
    throw error
  } finally {
    options.givenUp?.removeEventListener('abort', giveUp)
  }
  return server
}

async function untilReady(server: ServerProcess, options: LaunchOptions): Promise<void> {
  const tail: string[] = []
  await new Promise<void>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const watchSilence = () => {
      clearTimeout(timer)
      timer = setTimeout(() => {
        reject(
          new EmbeddedPostgresError(
            `PostgreSQL does not become ready: ${lastLines(tail.join('\n')) || 'no word from it'}`,
          ),
        )
      }, options.silenceTimeoutMs)
    }
    watchSilence()
    const lines = createInterface({ input: server.child.stderr! })
    lines.on('line', (line) => {
      options.log(line)
      if (timer === undefined) return
      tail.push(line)
      if (tail.length > LOG_TAIL_LINES) tail.shift()
      watchSilence()
      if (line.includes('database system is ready to accept connections')) {
        clearTimeout(timer)
        timer = undefined
        resolve()
      }
    })
    // 'close' comes after the last line of the log; the end alone may overtake it.
    server.child.once('close', () => {
      clearTimeout(timer)
      const text = tail.join('\n')
      const why = `PostgreSQL did not start: ${lastLines(text) || 'it ended without a word'}`
      if (/could not bind .*Permission denied/.test(text)) {
        const forbidden = `Port ${options.port} may not be opened by the user who runs PostgreSQL; take one of 1024 or more.`
        reject(new EmbeddedPostgresError(forbidden))
      } else if (/could not bind|Address already in use/.test(text)) reject(new PortInUse(why))
      else reject(new EmbeddedPostgresError(why))
    })
  })
}
