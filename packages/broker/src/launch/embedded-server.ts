/**
 * The embedded PostgreSQL of a broker: started with it, ended with it, and started again when it ends in between (killed for
 * want of memory, say). Until it is back the broker goes on with the file buffer, as with any database that is gone.
 *
 *   running ── ended by itself ──▶ wait ──▶ start ── ready ──▶ running
 *                                   ▲         └─ failed ─┐
 *                                   └── twice as long ◀──┘
 *
 * One that somebody told to stop (`pg_ctl stop`) stays so: whoever did may be copying its files.
 * Never two servers on one data directory: every start takes the directory's lock, and PostgreSQL itself refuses to start for
 * as long as a process of a killed server is left.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { EmbeddedPostgres } from '@queen/embedded-postgres'
import type { Logger } from 'pino'

/** Long enough for the sessions of a killed server to notice. */
const FIRST_WAIT_MS = 1_000
/** What a server that cannot start costs in log lines and processor time; longer, and its return is late. */
const WAIT_MS_MAX = 30_000
/** One that ran so long did not end because of its start. */
const STEADY_MS = 60_000

export interface Surroundings {
  readonly log: Pick<Logger, 'info' | 'error'>
  /** Whatever ends from then on was told to. */
  readonly ending: AbortSignal
  readonly nowMs?: () => number
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

/** Resolves when the server has ended for good; never rejects. */
export async function keepRunning(
  postgres: Pick<EmbeddedPostgres, 'exited' | 'restart'>,
  { log, ending, nowMs = () => performance.now(), wait = waiting }: Surroundings,
): Promise<void> {
  let waitMs = FIRST_WAIT_MS
  for (let sinceMs = nowMs(); ; sinceMs = nowMs()) {
    const exit = await postgres.exited
    if (ending.aborted) return log.info(exit, 'embedded PostgreSQL has ended')
    if (exit.code === 0) {
      return log.error(
        exit,
        'embedded PostgreSQL was told to stop: pushes go to the file buffer until Queen is restarted',
      )
    }
    log.error(exit, 'embedded PostgreSQL has ended by itself: pushes go to the file buffer until it runs again')
    if (nowMs() - sinceMs >= STEADY_MS) waitMs = FIRST_WAIT_MS
    for (let isBack = false; !isBack; ) {
      await wait(waitMs, ending)
      waitMs = Math.min(2 * waitMs, WAIT_MS_MAX)
      if (ending.aborted) return
      isBack = await postgres.restart().then(
        () => true,
        (error: unknown) => {
          const next = `embedded PostgreSQL does not start again: next try in ${waitMs / 1000} s`
          if (!ending.aborted) log.error({ reason: String((error as Error).message) }, next)
          return false
        },
      )
    }
    log.info('embedded PostgreSQL runs again')
  }
}

const waiting = (ms: number, signal: AbortSignal): Promise<unknown> => pause(ms, undefined, { signal }).catch(() => {})
