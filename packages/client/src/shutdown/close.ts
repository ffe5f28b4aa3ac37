/**
 * Ends a client: nothing new begins, handlers finish, buffers are sent, then every request is called off.
 *
 * Never rejects. Whatever no broker has is in the report and can be pushed again.
 */
import type { ClientCore } from '../client-core.ts'
import { CLOSE_TIMEOUT_MILLIS } from '../defaults.ts'
import { onAbort, TIMER_MILLIS_MAX } from '../timing/abort.ts'
import { deferred } from '../timing/deferred.ts'
import type { CloseOptions, CloseReport } from '../types/close.ts'

export async function closeClient(core: ClientCore, options: CloseOptions): Promise<CloseReport> {
  const { lifecycle, buffers, log } = core
  const timeoutMillis = options.timeoutMillis ?? CLOSE_TIMEOUT_MILLIS
  log.info('Queen.close', { timeoutMillis })
  const deadline = new AbortController()
  const expired = deferred<void>()
  const timer = setTimeout(() => deadline.abort(), Math.min(timeoutMillis, TIMER_MILLIS_MAX))
  const stops = [onAbort(options.signal, () => deadline.abort()), onAbort(deadline.signal, () => expired.resolve())]
  const storedBefore = buffers.stored
  lifecycle.beginClosing()
  // What was called before, in the same turn and without an await, begins now: it is not to be lost.
  await null
  const consumers = lifecycle.running()
  const finished = Promise.all([buffers.drain(deadline.signal), ...consumers.map((consumer) => consumer.ended)]).then(
    () => lifecycle.requestsEnded(),
  )
  await Promise.race([finished, expired.promise])
  clearTimeout(timer)
  for (const stop of stops) stop()

  const abandonedHandlers = consumers.reduce((sum, consumer) => sum + consumer.handlersRunning(), 0)
  lifecycle.die()
  const unsentItems = buffers.abandon()
  const report: CloseReport = {
    flushed: buffers.stored - storedBefore,
    unsent: unsentItems.length,
    unsentItems,
    rejected: buffers.rejected.count,
    rejectedItems: [...buffers.rejected.items],
    abandonedHandlers,
    timedOut: deadline.signal.aborted,
  }
  tell(core, report)
  return report
}

function tell({ log }: ClientCore, report: CloseReport): void {
  const { unsentItems: _unsent, rejectedItems: _rejected, ...counts } = report
  // Lost messages are said aloud even when nobody asked for a log.
  if (report.unsent + report.rejected === 0) log.info('Queen.close', counts)
  else if (log.enabled) log.error('Queen.close', { ...counts, problem: 'messages were not delivered to a broker' })
  else console.error(`[Queen.close] messages were not delivered to a broker: ${JSON.stringify(counts)}`)
}
