/** Configure, delete and clear queues. */
import {
  ClearQueueAnswerSchema,
  ConfigureAnswerSchema,
  ConfigureRequestSchema,
  DeleteQueueAnswerSchema,
} from '@queen/protocol'
import Type from 'typebox'
import type { HttpContext } from '../context.ts'
import { parseQuery, queryName } from '../query.ts'
import { type Route, SMALL_BODY_BYTES_MAX } from '../route.ts'
import { parseConfigureBody } from '../wire/configure-body.ts'
import { requireName } from '../wire/json-body.ts'

export function queueRoutes({ engine }: HttpContext): Route[] {
  return [
    {
      method: 'POST',
      path: '/api/v1/configure',
      level: 'W',
      body: 'required',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'configureQueue',
        summary: 'Create a queue or change its options',
        tag: 'Queues',
        body: ConfigureRequestSchema,
        answers: { 200: ConfigureAnswerSchema },
        errors: [
          'INVALID_JSON',
          'BODY_REQUIRED',
          'INVALID_BODY',
          'INVALID_NAME',
          'UNKNOWN_OPTION',
          'INVALID_OPTION',
          'ENCRYPTION_NOT_CONFIGURED',
        ],
      },
      async handle(exchange) {
        const { created, queue, partitionId } = await engine.configureQueue(parseConfigureBody(exchange.body))
        exchange.answer(200, {
          configured: true,
          created,
          queue: queue.name,
          queueId: queue.id,
          partitionId,
          namespace: queue.namespace,
          task: queue.task,
          options: queue.options,
        })
      },
    },
    {
      method: 'DELETE',
      path: '/api/v1/resources/queues/:queue',
      level: 'A',
      body: 'none',
      document: {
        operationId: 'deleteQueue',
        summary: 'Delete a queue and everything in it',
        tag: 'Queues',
        answers: { 200: DeleteQueueAnswerSchema },
        errors: ['INVALID_NAME'],
      },
      async handle(exchange) {
        const queue = requireName(exchange.parameters[0]!, 'queue')
        const existed = await engine.deleteQueue(queue)
        exchange.answer(200, { deleted: true, existed, queue })
      },
    },
    {
      method: 'DELETE',
      path: '/api/v1/queues/:queue/clear',
      level: 'A',
      body: 'none',
      document: {
        operationId: 'clearQueue',
        summary: 'Delete the messages of a queue or of one partition',
        tag: 'Queues',
        query: [{ name: 'partition', schema: Type.String() }],
        answers: { 200: ClearQueueAnswerSchema },
        errors: ['INVALID_NAME', 'QUEUE_NOT_FOUND', 'PARTITION_NOT_FOUND'],
      },
      async handle(exchange) {
        const queue = requireName(exchange.parameters[0]!, 'queue')
        const partition = queryName(parseQuery(exchange.search), 'partition')
        const { deletedMessages, deletedDeadLetters } = await engine.clearQueue(queue, partition)
        exchange.answer(200, { success: true, queue, partition, deletedMessages, deletedDeadLetters })
      },
    },
  ]
}
