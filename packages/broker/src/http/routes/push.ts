/** POST /api/v1/push: body → items → engine → one result per item. */
import { type ErrorCode, PushAnswerSchema, PushRequestSchema } from '@queen/protocol'
import { Refusal } from '../../engine/refusal.ts'
import type { PushItem } from '../../engine/types.ts'
import type { HttpContext } from '../context.ts'
import type { Route } from '../route.ts'
import { pushAnswer, pushAnswerInSlices } from '../wire/push-answer.ts'
import { parsePushBody, parsePushBodyInSlices, SLICED_BODY_BYTES } from '../wire/push-body.ts'

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
        const large = exchange.body.length >= SLICED_BODY_BYTES
        const push = large
          ? await parsePushBodyInSlices(exchange.body, limits, exchange.caller.subject)
          : parsePushBody(exchange.body, limits, exchange.caller.subject)
        const { items } = push
        const acceptable = items.some(isFailed) ? items.filter((item) => !isFailed(item)) : items
        if (acceptable.length > 0) await engine.pushMessages(acceptable, push)
        // A bad item beside good ones is a result; when nothing is left, it is the answer.
        if (items.length > 0 && items.every(isFailed)) throw refusalOf(items)
        exchange.answerJson(201, large ? await pushAnswerInSlices(items) : pushAnswer(items), 'latin1')
      },
    },
  ]
}

function isFailed(item: PushItem): boolean {
  return item.status === 'failed'
}

function refusalOf(items: readonly PushItem[]): Refusal {
  const first = items[0]!
  const results: unknown = JSON.parse(pushAnswer(items))
  // Every code that a push item can have is an HTTP error too.
  return new Refusal(first.code as ErrorCode, first.error ?? undefined, { details: { results } })
}
