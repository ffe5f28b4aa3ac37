/**
 * How many connections clients may have: as many as leave the process files for its file buffer and for PostgreSQL.
 *
 * Whoever runs short of files cannot open the buffer's next one, and refuses pushes just when a window or an outage
 * needs it. A client that is turned away tries again.
 */
import type { Server } from 'node:net'
import type { Log } from '../ports/log.ts'
import { HTTP_LIMITS } from './settings.ts'

// The buffer's files, what node keeps open, PostgreSQL beside the pool, and some to spare.
const OTHER_FILES = 100
const AGAIN_MS = 60_000

export function connectionsMax(poolSize: number, filesMax = openFilesMax()): number {
  // With hardly any files half of them: a broker that serves nobody helps nobody.
  return Math.max(
    1,
    Math.min(HTTP_LIMITS.connectionsMax, Math.max(filesMax - poolSize - OTHER_FILES, Math.floor(filesMax / 2))),
  )
}

/** What `ulimit -n` says of this process; node has raised it to what may be had. */
function openFilesMax(): number {
  if (process.report === undefined) return Number.POSITIVE_INFINITY
  // Otherwise node looks up the host names of all its connections.
  Object.assign(process.report, { excludeNetwork: true })
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft: number | 'unlimited' } } }
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY
}

/** Connections beyond the limit are closed without a word to the client: the log has one, once a minute. */
export function limitConnections(server: Server, most: number, log: Pick<Log, 'warn'>): void {
  let toldAtMs = Number.NEGATIVE_INFINITY
  server.maxConnections = most
  server.on('drop', () => {
    if (performance.now() - toldAtMs < AGAIN_MS) return
    toldAtMs = performance.now()
    log.warn(
      { connectionsMax: most },
      'clients are turned away: there are as many connections as this process may have',
    )
  })
}
