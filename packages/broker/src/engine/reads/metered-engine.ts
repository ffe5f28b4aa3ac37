/** The engine with every call of the message paths counted. It changes nothing that passes through. */
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
    ...engine,
    pushMessages: (items, options) => engine.pushMessages(items, options).then(() => activity.pushed(items), failed),
    popMessages(request: PopRequest, abandoned) {
      const leave = request.wait && request.queue !== null ? activity.parked(request.queue) : null
      const answer = engine.popMessages(request, abandoned)
      return answer.then(
        (popped) => {
          leave?.()
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
