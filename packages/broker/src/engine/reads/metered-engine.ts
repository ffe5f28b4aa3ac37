/**
 * The engine with every call of the message paths counted, and of all of them those that PostgreSQL could not serve. It
 * changes nothing that passes through.
 */
import type { Engine } from '../engine.ts'
import { Refusal } from '../refusal.ts'
import type { PopRequest } from '../types.ts'
import type { Activity } from './activity.ts'

export function meterEngine(engine: Engine, activity: Activity): Engine {
  const failed = (error: unknown): never => {
    if (error instanceof Refusal && error.code === 'DATABASE_UNAVAILABLE') activity.databaseError()
    throw error
  }
  return {
    ...watched(engine, failed),
    pushMessages: (items, options) => engine.pushMessages(items, options).then(() => activity.pushed(items), failed),
    popMessages(request: PopRequest, abandoned, hasRoom) {
      const leave = request.wait && request.queue !== null ? activity.parked(request.queue) : null
      const answer = engine.popMessages(request, abandoned, hasRoom)
      return answer.then(
        (popped) => {
          leave?.()
          // A pop never fails for it; it is empty. One whose client has gone did not wait for PostgreSQL to answer.
          if (popped.emptyReason === 'database_unavailable' && !abandoned.aborted) activity.databaseError()
          activity.popped(request, popped)
          return popped
        },
        (error) => {
          leave?.()
          return failed(error)
        },
      )
    },
    ackMessages: (items) =>
      engine.ackMessages(items).then((results) => {
        activity.acked(items, results)
        return results
      }, failed),
    completeLease: (lease, items) =>
      engine.completeLease(lease, items).then((results) => {
        if (results === null) activity.completed(lease.partition.queue.name, lease.messages)
        else activity.acked(items(), results)
        return results
      }, failed),
    executeTransaction: (operations, requiredLeases) =>
      engine.executeTransaction(operations, requiredLeases).then((outcome) => {
        activity.transacted(
          outcome.results.flatMap((each) => {
            const queue = each.type === 'push' ? each.item.queue : each.result.queueName
            return queue === null ? [] : [queue]
          }),
        )
        return outcome
      }, failed),
  }
}

/** Every method with `failed` told of what it rejects with. */
function watched(engine: Engine, failed: (error: unknown) => never): Engine {
  const all = Object.entries(engine).map(([name, method]) => {
    if (typeof method !== 'function') return [name, method]
    return [
      name,
      (...given: unknown[]) => {
        const answer: unknown = method.apply(engine, given)
        return answer instanceof Promise ? answer.catch(failed) : answer
      },
    ]
  })
  return Object.fromEntries(all)
}
