/** POST /api/v1/ack and /api/v1/ack/batch. A refused ack is a result, not an HTTP error. */
import { AckBatchAnswerSchema, AckBatchRequestSchema, AckRequestSchema, AckResultSchema } from '@queen/protocol'
import type { AckItem, AckResult } from '../../engine/types.ts'
import type { HttpContext } from '../context.ts'
import type { Route } from '../route.ts'
import { ackAnswer } from '../wire/ack-answer.ts'
import {
  type ParsedAck,
  parseAckBatchBody,
  parseAckBatchBodyInSlices,
  parseAckBody,
  parseAckBodyInSlices,
} from '../wire/ack-body.ts'
import { isScanned } from '../wire/ack-fields.ts'
import { wholeLeaseAck, wholeLeaseAnswer } from '../wire/whole-lease-ack.ts'

const BODY_ERRORS = ['INVALID_JSON', 'BODY_REQUIRED', 'INVALID_BODY', 'INVALID_NAME'] as const

export function ackRoutes({ engine, limits }: HttpContext): Route[] {
  return [
    {
      method: 'POST',
      path: '/api/v1/ack',
      level: 'W',
      body: 'required',
      document: {
        operationId: 'ackMessage',
        summary: 'Acknowledge one message',
        tag: 'Messages',
        body: AckRequestSchema,
        answers: { 200: AckResultSchema },
        errors: [...BODY_ERRORS, 'INVALID_STATUS'],
      },
      async handle(exchange) {
        const { body } = exchange
        const item = isScanned(body) ? await parseAckBodyInSlices(body) : parseAckBody(body)
        const [result] = await engine.ackMessages([item])
        exchange.answerJson(200, ackAnswer(0, item, result!), 'latin1')
      },
    },
    {
      method: 'POST',
      path: '/api/v1/ack/batch',
      level: 'W',
      body: 'required',
      document: {
        operationId: 'ackMessages',
        summary: 'Acknowledge many messages, each judged on its own',
        tag: 'Messages',
        body: AckBatchRequestSchema,
        answers: { 200: AckBatchAnswerSchema },
        errors: [...BODY_ERRORS, 'TOO_MANY_ITEMS'],
      },
      async handle(exchange) {
        const { body } = exchange
        const whole = wholeLeaseAck(body, limits.itemsMax, engine.deliveredLease)
        if (whole !== null) {
          const acks = once(() => parseAckBatchBody(body, limits.itemsMax))
          const results = await engine.completeLease(whole.lease, () => itemsOf(acks()))
          if (results === null) exchange.answerJsonBytes(200, wholeLeaseAnswer(whole))
          else exchange.answerJson(200, batchAnswer(acks(), results), 'latin1')
          return
        }
        const acks = isScanned(body)
          ? await parseAckBatchBodyInSlices(body, limits.itemsMax)
          : parseAckBatchBody(body, limits.itemsMax)
        const items = itemsOf(acks)
        const results = items.length === 0 ? [] : await engine.ackMessages(items)
        exchange.answerJson(200, batchAnswer(acks, results), 'latin1')
      },
    },
  ]
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

function itemsOf(acks: readonly ParsedAck[]): AckItem[] {
  const items: AckItem[] = []
  for (const ack of acks) if (ack.refused === null) items.push(ack.item)
  return items
}

function batchAnswer(acks: readonly ParsedAck[], results: readonly AckResult[]): string {
  let text = '['
  let next = 0
  for (let i = 0; i < acks.length; i++) {
    const { item, refused } = acks[i]!
    const result = refused === null ? results[next++]! : refusedResult(refused)
    text += i === 0 ? ackAnswer(i, item, result) : `,${ackAnswer(i, item, result)}`
  }
  return `${text}]`
}

function refusedResult({ code, error }: { code: AckResult['code']; error: string }): AckResult {
  return { success: false, code, error, queueName: null, partitionName: null, leaseReleased: false, dlq: false }
}
