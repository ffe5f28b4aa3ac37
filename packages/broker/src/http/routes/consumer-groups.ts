/** Consumer groups: where they stand, and moving them. */
import {
  ConsumerGroupDetailSchema,
  ConsumerGroupsAnswerSchema,
  DeleteConsumerGroupAnswerSchema,
  LaggingAnswerSchema,
  MoveSubscriptionAnswerSchema,
  MoveSubscriptionRequestSchema,
  SeekPartitionAnswerSchema,
  SeekQueueAnswerSchema,
  SeekRequestSchema,
} from '@queen/protocol'
import Type from 'typebox'
import { Refusal } from '../../engine/refusal.ts'
import type { HttpContext } from '../context.ts'
import type { Exchange } from '../exchange.ts'
import { parseQuery, queryBoolean, queryInteger, queryName } from '../query.ts'
import { readRoute, text } from '../read-route.ts'
import { type Route, SMALL_BODY_BYTES_MAX } from '../route.ts'
import { bodyReader, requireName } from '../wire/json-body.ts'
import { bodyTimestamp, toMillis } from '../wire/timestamp.ts'

const LAG_SECONDS_DEFAULT = 3_600
// A hundred years.
const LAG_SECONDS_MAX = 3_155_760_000
const tag = 'Consumer groups'
const BODY_ERRORS = ['INVALID_JSON', 'INVALID_BODY', 'INVALID_NAME', 'INVALID_TIMESTAMP'] as const

export function consumerGroupRoutes({ engine }: HttpContext): Route[] {
  const readSubscription = bodyReader(MoveSubscriptionRequestSchema)
  const readSeek = bodyReader(SeekRequestSchema, true)

  async function deleteGroup(exchange: Exchange, queueName: string | null): Promise<void> {
    const consumerGroup = name(exchange, 0, 'consumerGroup')
    const metadataDeleted = queryBoolean(parseQuery(exchange.search), 'deleteMetadata', true)
    const deletedPartitions = await engine.deleteGroup(consumerGroup, queueName, metadataDeleted)
    const queue = queueName === null ? {} : { queueName }
    exchange.answer(200, { success: true, consumerGroup, ...queue, deletedPartitions, metadataDeleted })
  }

  const deletion = (operationId: string, summary: string): Route['document'] => ({
    operationId,
    summary,
    tag,
    query: [{ name: 'deleteMetadata', schema: Type.Boolean({ default: true }) }],
    answers: { 200: DeleteConsumerGroupAnswerSchema },
    errors: ['INVALID_NAME', 'INVALID_PARAMETER'],
  })

  return [
    readRoute(
      {
        path: '/api/v1/consumer-groups',
        operationId: 'listConsumerGroups',
        summary: 'Every group on every queue',
        tag,
        query: [text('queue'), text('consumerGroup')],
        answer: ConsumerGroupsAnswerSchema,
        errors: ['INVALID_NAME'],
      },
      (query) => engine.listGroups(queryName(query, 'queue'), queryName(query, 'consumerGroup')),
    ),
    readRoute(
      {
        path: '/api/v1/consumer-groups/lagging',
        operationId: 'listLagging',
        summary: 'Partitions that a group is behind on, worst first',
        tag,
        query: [{ name: 'minLagSeconds', schema: Type.Integer({ minimum: 0, default: LAG_SECONDS_DEFAULT }) }],
        answer: LaggingAnswerSchema,
        errors: ['INVALID_PARAMETER'],
      },
      (query) => engine.listLagging(queryInteger(query, 'minLagSeconds', LAG_SECONDS_DEFAULT, 0, LAG_SECONDS_MAX)),
    ),
    readRoute(
      {
        path: '/api/v1/consumer-groups/:group',
        operationId: 'getConsumerGroup',
        summary: 'Positions of one group by queue, most behind first',
        tag,
        answer: ConsumerGroupDetailSchema,
        errors: ['INVALID_NAME', 'CONSUMER_GROUP_NOT_FOUND'],
      },
      (_, exchange) => engine.readGroup(name(exchange, 0, 'consumerGroup')),
    ),
    {
      method: 'DELETE',
      path: '/api/v1/consumer-groups/:group',
      level: 'A',
      body: 'none',
      document: deletion('deleteConsumerGroup', 'Forget a group on all queues'),
      handle: (exchange) => deleteGroup(exchange, null),
    },
    {
      method: 'DELETE',
      path: '/api/v1/consumer-groups/:group/queues/:queue',
      level: 'A',
      body: 'none',
      document: deletion('deleteConsumerGroupOnQueue', 'Forget a group on one queue'),
      handle: (exchange) => deleteGroup(exchange, name(exchange, 1, 'queue')),
    },
    {
      method: 'POST',
      path: '/api/v1/consumer-groups/:group/subscription',
      level: 'W',
      body: 'required',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'moveSubscription',
        summary: 'Change where a group starts on partitions it has not read yet',
        tag,
        body: MoveSubscriptionRequestSchema,
        answers: { 200: MoveSubscriptionAnswerSchema },
        errors: [...BODY_ERRORS, 'BODY_REQUIRED', 'CONSUMER_GROUP_NOT_FOUND'],
      },
      async handle(exchange) {
        const consumerGroup = name(exchange, 0, 'consumerGroup')
        const { subscriptionTimestamp } = readSubscription(exchange.body)
        const startsAt = bodyTimestamp(subscriptionTimestamp, 'subscriptionTimestamp', 'start')!
        const rowsUpdated = await engine.moveSubscription(consumerGroup, startsAt)
        exchange.answer(200, { success: true, consumerGroup, newTimestamp: toMillis(startsAt), rowsUpdated })
      },
    },
    {
      method: 'POST',
      path: '/api/v1/consumer-groups/:group/queues/:queue/seek',
      level: 'W',
      body: 'required',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'seekQueue',
        summary: 'Move a group to a time or to the end, on all partitions of a queue',
        tag,
        body: SeekRequestSchema,
        answers: { 200: SeekQueueAnswerSchema },
        errors: [...BODY_ERRORS, 'BODY_REQUIRED', 'QUEUE_NOT_FOUND'],
      },
      async handle(exchange) {
        const consumerGroup = name(exchange, 0, 'consumerGroup')
        const queueName = name(exchange, 1, 'queue')
        if (exchange.body.length === 0) throw new Refusal('BODY_REQUIRED')
        const time = seekTarget(readSeek(exchange.body))
        const partitionsUpdated = await engine.seekQueue(consumerGroup, queueName, time)
        exchange.answer(200, {
          success: true,
          consumerGroup,
          queueName,
          seekToEnd: time === null,
          targetTimestamp: time === null ? null : toMillis(time),
          partitionsUpdated,
        })
      },
    },
    {
      method: 'POST',
      path: '/api/v1/consumer-groups/:group/queues/:queue/partitions/:partition/seek',
      level: 'W',
      body: 'optional',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'seekPartition',
        summary: 'Move a group to a time or (default) to the end, on one partition',
        tag,
        body: SeekRequestSchema,
        answers: { 200: SeekPartitionAnswerSchema },
        errors: [...BODY_ERRORS, 'QUEUE_NOT_FOUND', 'PARTITION_NOT_FOUND'],
      },
      async handle(exchange) {
        const consumerGroup = name(exchange, 0, 'consumerGroup')
        const queueName = name(exchange, 1, 'queue')
        const partitionName = name(exchange, 2, 'partition')
        const body = readSeek(exchange.body)
        const none = (body.toEnd ?? null) === null && (body.timestamp ?? null) === null
        const time = seekTarget(none ? { toEnd: true } : body)
        const cursorMovedTo = await engine.seekPartition(consumerGroup, queueName, partitionName, time)
        exchange.answer(200, { success: true, consumerGroup, queueName, partitionName, updated: true, cursorMovedTo })
      },
    },
  ]
}

function name(exchange: Exchange, index: number, field: string): string {
  return requireName(exchange.parameters[index]!, field)
}

/** null = to the end. */
function seekTarget(body: { toEnd?: boolean | null; timestamp?: string | null }): string | null {
  const time = bodyTimestamp(body.timestamp, 'timestamp', 'start')
  if ((body.toEnd === true) === (time !== null)) {
    throw new Refusal('INVALID_BODY', "Exactly one of 'toEnd': true and 'timestamp' is needed", {
      details: { field: 'toEnd' },
    })
  }
  return time
}
