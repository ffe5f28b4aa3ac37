/**
 * startPostgres(): cluster on disk + server process = one database URL, and the rough handling that tests need.
 *
 * The object stays the same over restarts and so does its URL: a client that held it before finds the server again.
 */
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { PostgresMajor } from './binaries.ts'
import { openCluster, placeCluster } from './cluster.ts'
import { lockDirectory } from './directory-lock.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { freePort } from './free-port.ts'
import { clearOrphan } from './orphan.ts'
import { isAlive, signalTree } from './process-tree.ts'
import { launchServer, PortInUse, type ServerExit, type ServerProcess } from './server-process.ts'
import { canWrite } from './server-user.ts'
import { DEFAULT_SETTINGS } from './settings.ts'
import { removeStaleSockets, socketDirectory, socketSetting } from './socket.ts'

/** smart waits for clients to leave, fast ends their sessions, immediate is a crash that the next start recovers from. */
export type StopMode = 'smart' | 'fast' | 'immediate'

export interface StartPostgresOptions {
  /** Created when missing. As root it may be moved to where the server's user can reach it: see the result's dataDir. */
  readonly dataDir: string
  /** 0 or absent: any free port. */
  readonly port?: number
  readonly major?: PostgresMajor
  readonly superuser?: string
  /** On top of DEFAULT_SETTINGS. */
  readonly settings?: Readonly<Record<string, string>>
  /** Every line the server logs. */
  readonly log?: (line: string) => void
  /** The data is worth nothing: no sync at creation, and should this process be killed, the directory is deleted. */
  readonly ephemeral?: boolean
}

export interface EmbeddedPostgres {
  /** By TCP: works for every program. */
  readonly url: string
  /** The same database by the Unix socket, which costs less; null where there is none. */
  readonly socketUrl: string | null
  readonly port: number
  /** The postmaster of the current (or last) run. */
  readonly pid: number
  /** Without symbolic links in its path. */
  readonly dataDir: string
  /** It lies elsewhere than was asked for. */
  readonly isStandIn: boolean
  readonly major: PostgresMajor
  /** Resolves when the current run ends, for whatever reason. */
  readonly exited: Promise<ServerExit>
  /** A restart that is under way ends, too: it rejects. */
  stop(mode?: StopMode): Promise<void>
  /** SIGKILL to the server and all its children. */
  kill(): Promise<void>
  /** SIGSTOP to the whole tree: connections stay open and nothing answers. */
  freeze(): void
  thaw(): void
  /** Starts again on the same port, after a fast stop when it is still running. */
  restart(): Promise<void>
}

interface Run extends ServerProcess {
  readonly port: number
  readonly socketDir: string | null
  /** user:password */
  readonly account: string
}

const SILENCE_TIMEOUT_MS = 60_000
/** The port is free when we look and may be taken when the server binds. */
const FREE_PORT_ATTEMPTS = 5
const POLL_MS = 10
const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const

export async function startPostgres(options: StartPostgresOptions): Promise<EmbeddedPostgres> {
  const ephemeral = options.ephemeral ?? false
  const place = placeCluster(options.dataDir, options.major, ephemeral)
  const { dataDir, user } = place
  const log = options.log ?? (() => {})

  /** Nobody else works in the directory from before the first look at it until the server has ended. */
  const launch = async (choosePort: () => Promise<number>, givenUp?: AbortSignal): Promise<Run> => {
    const lock = await lockDirectory(dataDir, user)
    try {
      // A restart that made an empty one in its place would look like lost data.
      if (givenUp !== undefined && !existsSync(place.pgData))
        throw new EmbeddedPostgresError(`${place.pgData} is gone: put it back, or stop Queen.`)
      const cluster = await openCluster(place, { superuser: options.superuser ?? 'queen', ephemeral })
      if ((await clearOrphan(dataDir, cluster.pgData)) === 'stopped') log('stopped the server of an earlier run')
      removeStaleSockets(dataDir)
      const socketDir = user === undefined || canWrite(user, dataDir) ? socketDirectory(dataDir) : null
      const port = await choosePort()
      const server = await launchServer(cluster, {
        port,
        settings: { ...DEFAULT_SETTINGS, unix_socket_directories: socketSetting(socketDir), ...options.settings },
        log,
        silenceTimeoutMs: SILENCE_TIMEOUT_MS,
        deleteWhenOrphaned: ephemeral ? dataDir : undefined,
        givenUp,
      })
      const exited = server.exited.then((exit) => {
        lock.release()
        return exit
      })
      return { ...server, exited, port, socketDir, account: `${cluster.superuser}:${cluster.password}` }
    } catch (error) {
      lock.release()
      throw error
    }
  }

  const wishedPort = options.port ?? 0
  let first: Run | undefined
  for (let attempt = 1; first === undefined; attempt++) {
    try {
      first = await launch(wishedPort === 0 ? freePort : async () => wishedPort)
    } catch (error) {
      if (!(error instanceof PortInUse)) throw error
      if (wishedPort !== 0) throw new EmbeddedPostgresError(`Port ${wishedPort} for the embedded PostgreSQL is in use.`)
      if (attempt === FREE_PORT_ATTEMPTS) throw error
    }
  }
  const { port, socketDir, account } = first
  let current = first
  let restarting: { readonly giveUp: AbortController; readonly done: Promise<void> } | undefined

  const stopCurrent = async (mode: StopMode): Promise<void> => {
    if (!hasEnded(current)) {
      current.child.kill(SIGNALS[mode])
      signalTree(current.pid, 'SIGCONT') // a frozen server would never hear it
    }
    await current.exited
  }

  const startAgain = async (givenUp: AbortSignal): Promise<void> => {
    await stopCurrent('fast')
    current = await launch(async () => port, givenUp)
  }

  return {
    url: `postgresql://${account}@127.0.0.1:${port}/postgres`,
    socketUrl:
      socketDir === null
        ? null
        : `postgresql://${account}@localhost:${port}/postgres?host=${encodeURIComponent(socketDir)}`,
    port,
    dataDir,
    isStandIn: place.isStandIn,
    major: place.binaries.major,
    get pid() {
      return current.pid
    },
    get exited() {
      return current.exited
    },
    async stop(mode = 'fast') {
      restarting?.giveUp.abort()
      await restarting?.done.catch(() => {})
      await stopCurrent(mode)
    },
    async kill() {
      if (hasEnded(current)) return
      const tree = signalTree(current.pid, 'SIGKILL')
      await current.exited
      // Until the last backend is gone it holds the shared memory, and a restart would be refused.
      while (tree.some(isAlive)) await pause(POLL_MS)
    },
    freeze: () => void (hasEnded(current) || signalTree(current.pid, 'SIGSTOP')),
    thaw: () => void (hasEnded(current) || signalTree(current.pid, 'SIGCONT')),
    async restart() {
      const giveUp = new AbortController()
      const done = startAgain(giveUp.signal)
      restarting = { giveUp, done }
      await done.finally(() => {
        restarting = undefined
      })
    },
  }
}

function hasEnded(server: ServerProcess): boolean {
  return server.child.exitCode !== null || server.child.signalCode !== null
}
