/** POST /api/v1/push: body → items → engine → one result per item. */
import { type ErrorCode, PushAnswerSchema, PushRequestSchema } from '@queen/protocol'
import type { PushFailure, PushItem } from '../../engine/push/push-item.ts'
import { Refusal } from '../../engine/refusal.ts'
import type { HttpContext } from '../context.ts'
import type { Route } from '../route.ts'
import { pushAnswer, pushAnswerInSlices } from '../wire/push-answer.ts'
import { parsePushBody, parsePushBodyInSlices } from '../wire/push-body.ts'
import { stampedAnswer } from '../wire/stamped-answer.ts'
import { SLICE_BYTES } from '../wire/steps.ts'

export function pushRoutes({ engine, limits }: HttpContext): Route[] {
  return [
    {
      method: 'POST',
      path: '/api/v1/push',
      level: 'W',
      body: 'required',
      document: {
        operationId: 'pushMessages',
        summary: 'Push messages',
        tag: 'Messages',
        body: PushRequestSchema,
        answers: { 201: PushAnswerSchema },
        errors: [
          'INVALID_JSON',
          'BODY_REQUIRED',
          'INVALID_BODY',
          'INVALID_NAME',
          'INVALID_TRACE_ID',
          'INVALID_PAYLOAD',
          'TOO_MANY_ITEMS',
          'ENCRYPTION_NOT_CONFIGURED',
          'QUEUE_FULL',
          'BUFFER_UNAVAILABLE',
          'BUFFER_FULL',
        ],
      },
      async handle(exchange) {
        const large = exchange.body.length >= SLICE_BYTES
        const push = large
          ? await parsePushBodyInSlices(exchange.body, limits, exchange.caller.subject)
          : parsePushBody(exchange.body, limits, exchange.caller.subject)
        const { items } = push
        const acceptable = items.some(isFailed) ? items.filter((item) => !isFailed(item)) : items
        if (acceptable.length > 0) await engine.pushMessages(acceptable, push)
        // A bad item beside good ones is a result; when nothing is left, it is the answer.
        const refused = items.length > 0 && items.every(isFailed)
        // A stamped answer is written in one go, which of a large one takes too long.
        const stamped = large ? null : stampedAnswer(items)
        if (stamped !== null) {
          exchange.answerJsonBytes(201, stamped)
          return
        }
        const results = large ? await pushAnswerInSlices(items) : pushAnswer(items)
        if (refused) {
          exchange.requireRoom(results)
          throw refusalOf(items[0]!.failure!, results)
        }
        exchange.answerJson(201, results, 'latin1')
      },
    },
  ]
}

function isFailed(item: PushItem): boolean {
  return item.status === 'failed'
}

function refusalOf({ code, error }: PushFailure, results: string): Refusal {
  const detailsText = `{"results":${Buffer.from(results, 'latin1')}}`
  // Every code that a push item can have is an HTTP error too.
  return new Refusal(code as ErrorCode, error, { detailsText })
}
