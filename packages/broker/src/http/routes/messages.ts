/** Single messages: list, detail, delete, retry, move to the dead letters. */
import {
  BuryMessageRequestSchema,
  DeleteMessageAnswerSchema,
  LIMITS,
  MessageActionAnswerSchema,
  MessageDetailSchema,
  MessagesAnswerSchema,
  RetryMessageRequestSchema,
} from '@queen/protocol'
import type { MessageDetail } from '../../engine/reads/message-detail.ts'
import { MESSAGE_STATUSES, type MessageStatus } from '../../engine/reads/message-status.ts'
import type { HttpContext } from '../context.ts'
import type { Exchange } from '../exchange.ts'
import { AFTER_PARAMETER, pagingParameters, queryPaging } from '../paging.ts'
import { invalidParameter, type Query, queryName, queryText, queryTimestamp } from '../query.ts'
import { PARAMETER_ERRORS, RANGE, readRoute, text } from '../read-route.ts'
import { type Route, SMALL_BODY_BYTES_MAX } from '../route.ts'
import { bodyReader, requireName } from '../wire/json-body.ts'

const LIMIT_DEFAULT = 200
const HOUR_MS = 3_600_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const tag = 'Messages'
const ACTION_ERRORS = ['INVALID_JSON', 'INVALID_BODY', 'INVALID_NAME', 'MESSAGE_NOT_FOUND'] as const

export function messageRoutes({ engine }: HttpContext): Route[] {
  const readRetry = bodyReader(RetryMessageRequestSchema, true)
  const readBury = bodyReader(BuryMessageRequestSchema, true)
  const detail = (partitionId: string | null, transactionId: string) =>
    engine.readMessage(partitionId, transactionId).then(detailText)

  return [
    readRoute(
      {
        path: '/api/v1/messages',
        operationId: 'listMessages',
        summary: 'Messages, newest first',
        tag,
        query: [
          text('queue'),
          text('partition'),
          text('ns', 'namespace'),
          text('namespace'),
          text('task'),
          text('traceId'),
          text('status', 'pending, processing, completed or dead_letter (= failed)'),
          text('consumerGroup', 'the status as this group sees it'),
          ...RANGE,
          ...pagingParameters(LIMIT_DEFAULT),
          AFTER_PARAMETER,
        ],
        answer: MessagesAnswerSchema,
        errors: PARAMETER_ERRORS,
      },
      async (query) => {
        const page = await engine.listMessages({
          queue: queryName(query, 'queue'),
          partition: queryName(query, 'partition'),
          namespace: queryText(query, 'ns') ?? queryText(query, 'namespace'),
          task: queryText(query, 'task'),
          traceId: queryTraceId(query),
          status: queryStatus(query),
          consumerGroup: queryName(query, 'consumerGroup'),
          from:
            queryTimestamp(query, 'from', 'start') ??
            `${new Date(Date.now() - HOUR_MS).toISOString().slice(0, 23)}000Z`,
          to: wholeMinute(queryTimestamp(query, 'to', 'end')),
          ...queryPaging(query, LIMIT_DEFAULT),
          after: queryText(query, 'after'),
        })
        const { limit, offset, hasMore, next } = page
        return { messages: page.messages, mode: page.mode, pagination: { limit, offset, hasMore, next } }
      },
    ),
    readRoute(
      {
        path: '/api/v1/messages/:transactionId',
        operationId: 'findMessage',
        summary: 'The message with this transactionId, when only one partition has one',
        tag,
        answer: MessageDetailSchema,
        errors: ['INVALID_NAME', 'MESSAGE_NOT_FOUND', 'AMBIGUOUS_TRANSACTION_ID'],
      },
      async (_, exchange) =>
        exchange.answerJson(200, await detail(null, requireName(exchange.parameters[0]!, 'transactionId'))),
    ),
    readRoute(
      {
        path: '/api/v1/messages/:partitionId/:transactionId',
        operationId: 'getMessage',
        summary: 'One message in full',
        tag,
        answer: MessageDetailSchema,
        errors: ['INVALID_NAME', 'MESSAGE_NOT_FOUND'],
      },
      async (_, exchange) => exchange.answerJson(200, await detail(...messageOf(exchange))),
    ),
    {
      method: 'DELETE',
      path: '/api/v1/messages/:partitionId/:transactionId',
      level: 'W',
      body: 'none',
      document: {
        operationId: 'deleteMessage',
        summary: 'Delete a message, its dead letters and its traces, leased or not',
        tag,
        answers: { 200: DeleteMessageAnswerSchema },
        errors: ['INVALID_NAME', 'MESSAGE_NOT_FOUND'],
      },
      async handle(exchange) {
        const [partitionId, transactionId] = messageOf(exchange)
        await engine.deleteMessage(partitionId, transactionId)
        exchange.answer(200, { success: true, partitionId, transactionId, message: 'Message deleted' })
      },
    },
    {
      method: 'POST',
      path: '/api/v1/messages/:partitionId/:transactionId/retry',
      level: 'W',
      body: 'optional',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'retryMessage',
        summary: 'Take a message out of the dead letters and deliver it again',
        tag,
        body: RetryMessageRequestSchema,
        answers: { 200: MessageActionAnswerSchema },
        errors: [...ACTION_ERRORS, 'NOT_DEAD_LETTERED'],
      },
      async handle(exchange) {
        const [partitionId, transactionId] = messageOf(exchange)
        const group = groupOf(readRetry(exchange.body).consumerGroup)
        const consumerGroups = await engine.retryMessage(partitionId, transactionId, group)
        const message = 'Message is available again'
        exchange.answer(200, { success: true, partitionId, transactionId, consumerGroups, message })
      },
    },
    {
      method: 'POST',
      path: '/api/v1/messages/:partitionId/:transactionId/dlq',
      level: 'W',
      body: 'optional',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'deadLetterMessage',
        summary: 'Move a message to the dead letters',
        tag,
        body: BuryMessageRequestSchema,
        answers: { 200: MessageActionAnswerSchema },
        errors: [...ACTION_ERRORS, 'ALREADY_COMPLETED'],
      },
      async handle(exchange) {
        const [partitionId, transactionId] = messageOf(exchange)
        const { consumerGroup, error } = readBury(exchange.body)
        const consumerGroups = await engine.buryMessage(
          partitionId,
          transactionId,
          groupOf(consumerGroup),
          error === null || error === undefined || error === '' ? null : storable(error),
        )
        const message = 'Message moved to the dead letters'
        exchange.answer(200, { success: true, partitionId, transactionId, consumerGroups, message })
      },
    },
  ]
}

function messageOf(exchange: Exchange): [partitionId: string, transactionId: string] {
  const [partitionId, transactionId] = exchange.parameters
  return [partitionId!, requireName(transactionId!, 'transactionId')]
}

function groupOf(group: string | null | undefined): string | null {
  return group === null || group === undefined ? null : requireName(group, 'consumerGroup')
}

/** The payload is JSON text already and is put in as it is. */
function detailText({ payload, ...fields }: MessageDetail): string {
  return `${JSON.stringify(fields).slice(0, -1)},"payload":${payload.toString()}}`
}

function queryStatus(query: Query): MessageStatus | null {
  const value = queryText(query, 'status')
  if (value === null) return null
  if (value === 'failed') return 'dead_letter'
  const status = MESSAGE_STATUSES.find((each) => each === value)
  if (status === undefined) throw invalidParameter('status', `must be one of ${MESSAGE_STATUSES.join(', ')}`)
  return status
}

function queryTraceId(query: Query): string | null {
  const value = queryText(query, 'traceId')?.toLowerCase() ?? null
  if (value !== null && !UUID.test(value)) throw invalidParameter('traceId', 'must be a UUID')
  return value
}

/** `to` includes the minute it names; without one, everything up to now, clocks that differ included. */
export function wholeMinute(to: string | null): string {
  return to === null ? '9999-12-31T23:59:59.999999Z' : `${to.slice(0, 16)}:59.999999Z`
}

/** A text for people: what PostgreSQL cannot store is replaced, what is too long is cut. */
function storable(error: string): string {
  return error.replaceAll('\u0000', '\ufffd').toWellFormed().slice(0, LIMITS.ackErrorCharsMax).toWellFormed()
}
