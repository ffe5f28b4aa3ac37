/**
 * Several workers as one consumer: started together, stopped together, one outcome.
 *
 * Invariant: when it ends every worker has ended, except at the deadline of close(), where running handlers are left
 * to themselves.
 */
import type { ClientCore } from '../client-core.ts'
import { warnAboutSubscription } from '../messages/pop.ts'
import { assertSource, type QueueSelection } from '../messages/selection.ts'
import { onAbort } from '../timing/abort.ts'
import { deferred } from '../timing/deferred.ts'
import type { ConsumeEnd, ConsumeSummary } from '../types/consume.ts'
import { Worker, type WorkerEnd, type WorkerParts } from './worker.ts'

export type Handle<T> = WorkerParts<T>['handle']

const OPERATION = 'ConsumerManager.worker'

export async function runConsumer<T>(
  core: ClientCore,
  selection: QueueSelection,
  handle: Handle<T>,
  signal: AbortSignal | undefined,
): Promise<ConsumeSummary> {
  core.lifecycle.assertOpen()
  assertSource(selection)
  if (signal?.aborted) return { processed: 0, failed: 0, reason: 'aborted' }
  warnAboutSubscription(core, selection, OPERATION)
  const workers = Array.from(
    { length: selection.concurrency },
    (_, workerId) => new Worker<T>({ core, selection, workerId, operation: OPERATION, handle }),
  )
  const stopAll = (reason: ConsumeEnd) => {
    for (const worker of workers) worker.stop(reason)
  }
  core.log.info('ConsumerManager.start', { queue: selection.queue, group: selection.group, workers: workers.length })
  const runs = workers.map(async (worker) => {
    const end = await worker.run()
    if (end.error !== null) stopAll('aborted')
    return end
  })
  const ended = Promise.all(runs)
  const abandoned = deferred<'abandoned'>()
  core.lifecycle.enter({
    ended: ended.then(() => {}),
    handlersRunning: () => workers.filter(({ handling }) => handling).length,
  })
  const stops = [
    onAbort(signal, () => stopAll('aborted')),
    onAbort(core.lifecycle.closing, () => stopAll('closed')),
    onAbort(core.lifecycle.dead, () => abandoned.resolve('abandoned')),
  ]
  try {
    const outcome = await Promise.race([ended, abandoned.promise])
    if (outcome === 'abandoned') return { ...sum(workers.map(({ counts }) => counts)), reason: 'closed' }
    return summary(outcome)
  } finally {
    for (const stop of stops) stop()
  }
}

function summary(ends: readonly WorkerEnd[]): ConsumeSummary {
  const error = ends.find((end) => end.error !== null)?.error
  if (error) throw error.value
  const reasons = new Set(ends.map(({ reason }) => reason))
  const reason = (['closed', 'aborted', 'idle', 'limit'] as const).find((one) => reasons.has(one)) ?? 'limit'
  return { ...sum(ends), reason }
}

function sum(ends: readonly { processed: number; failed: number }[]): { processed: number; failed: number } {
  let processed = 0
  let failed = 0
  for (const end of ends) {
    processed += end.processed
    failed += end.failed
  }
  return { processed, failed }
}
