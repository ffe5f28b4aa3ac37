/** The file buffers: their state, and the records that were set aside. */
import {
  BuffersAnswerSchema,
  DropQuarantinedAnswerSchema,
  type ErrorCode,
  isName,
  QuarantineAnswerSchema,
  RetryQuarantinedAnswerSchema,
  RetryQuarantinedRequestSchema,
} from '@queen/protocol'
import Type from 'typebox'
import type { QuarantinedRecord } from '../../engine/engine.ts'
import { Refusal } from '../../engine/refusal.ts'
import type { HttpContext } from '../context.ts'
import type { Exchange } from '../exchange.ts'
import { AFTER_PARAMETER, paginationOf, pagingParameters, queryPaging } from '../paging.ts'
import { parseQuery, queryName, queryText } from '../query.ts'
import type { Route } from '../route.ts'
import { parseQuarantineBody } from '../wire/quarantine-body.ts'

const LIMIT_DEFAULT = 100
const tag = 'System'

export function bufferRoutes({ engine, limits }: HttpContext): Route[] {
  return [
    {
      method: 'GET',
      path: '/api/v1/status/buffers',
      level: 'R',
      body: 'none',
      document: {
        operationId: 'getBuffers',
        summary: 'State of the file buffers',
        tag,
        answers: { 200: BuffersAnswerSchema },
        errors: [],
      },
      async handle(exchange) {
        const status = await engine.maintenanceStatus()
        const { buffer, database, instanceId } = engine.health()
        exchange.answer(200, {
          pending: buffer.bufferedMessages,
          failed: buffer.quarantinedMessages,
          dbHealthy: database === 'connected',
          worker: instanceId,
          phase: status.phase,
          bufferedMessages: status.bufferedMessages,
          bufferedBytes: status.bufferedBytes,
          oldestBufferedAt: status.oldestBufferedAt,
          quarantinedMessages: status.quarantinedMessages,
          diskFreeBytes: buffer.diskFreeBytes,
          capacityBytes: buffer.capacityBytes,
        })
      },
    },
    {
      method: 'GET',
      path: '/api/v1/system/buffers/quarantine',
      level: 'A',
      body: 'none',
      document: {
        operationId: 'listQuarantine',
        summary: 'Buffered records that could not be stored, oldest first',
        tag,
        query: [
          { name: 'queue', schema: Type.String() },
          { name: 'instance', schema: Type.String() },
          ...pagingParameters(LIMIT_DEFAULT),
          AFTER_PARAMETER,
        ],
        answers: { 200: QuarantineAnswerSchema },
        errors: ['INVALID_PARAMETER', 'INVALID_NAME'],
      },
      async handle(exchange) {
        const query = parseQuery(exchange.search)
        const page = await engine.listQuarantine({
          queue: queryName(query, 'queue'),
          instance: queryText(query, 'instance'),
          ...queryPaging(query, LIMIT_DEFAULT),
          after: queryText(query, 'after'),
        })
        const records = page.rows.map(recordText).join(',')
        const pagination = JSON.stringify(paginationOf(page))
        exchange.answerJson(200, `{"records":[${records}],"total":${page.total},"pagination":${pagination}}`)
      },
    },
    {
      method: 'POST',
      path: '/api/v1/system/buffers/quarantine/:id/retry',
      level: 'A',
      body: 'optional',
      document: {
        operationId: 'retryQuarantined',
        summary: 'Store a quarantined record now, at the end of its partition',
        tag,
        body: RetryQuarantinedRequestSchema,
        answers: { 200: RetryQuarantinedAnswerSchema },
        errors: [
          'INVALID_JSON',
          'INVALID_BODY',
          'INVALID_NAME',
          'INVALID_PAYLOAD',
          'QUARANTINE_NOT_FOUND',
          'INSTANCE_NOT_LIVE',
          'MAINTENANCE',
        ],
      },
      async handle(exchange) {
        const id = recordId(exchange)
        const item = await engine.retryQuarantined(id, parseQuarantineBody(exchange.body, limits.payloadBytesMax))
        if (item.failure !== null) throw new Refusal(item.failure.code as ErrorCode, item.failure.error)
        exchange.answer(200, {
          success: true,
          id,
          status: item.status,
          queueName: item.queue,
          partition: item.partition,
          transactionId: item.transactionId,
          messageId: item.messageId,
        })
      },
    },
    {
      method: 'DELETE',
      path: '/api/v1/system/buffers/quarantine/:id',
      level: 'A',
      body: 'none',
      document: {
        operationId: 'dropQuarantined',
        summary: 'Drop a quarantined record for good',
        tag,
        answers: { 200: DropQuarantinedAnswerSchema },
        errors: ['QUARANTINE_NOT_FOUND', 'INSTANCE_NOT_LIVE'],
      },
      async handle(exchange) {
        const id = recordId(exchange)
        await engine.dropQuarantined(id)
        exchange.answer(200, { success: true, id })
      },
    },
  ]
}

/** What could not be an id, and PostgreSQL could not even be asked for, is not there. */
function recordId(exchange: Exchange): string {
  const id = exchange.parameters[0]!
  if (!isName(id)) throw new Refusal('QUARANTINE_NOT_FOUND')
  return id
}

/** A payload is JSON text already and is put in as it is; a damaged record has raw bytes instead. */
function recordText({ payload, rawBase64, ...fields }: QuarantinedRecord): string {
  const head = JSON.stringify(fields).slice(0, -1)
  const raw = rawBase64 === null ? '' : `,"rawBase64":${JSON.stringify(rawBase64)}`
  return payload === null ? `${head}${raw}}` : `${head},"payload":${payload.toString()}${raw}}`
}
