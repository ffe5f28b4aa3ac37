/** Traces: record one, list them by message or by name. */
import {
  NamedTracesAnswerSchema,
  RecordTraceAnswerSchema,
  RecordTraceRequestSchema,
  TraceNamesAnswerSchema,
  TracesAnswerSchema,
} from '@queen/protocol'
import type { StoredTrace } from '../../ports/trace-store.ts'
import type { HttpContext } from '../context.ts'
import { AFTER_PARAMETER, paginationOf, pagingParameters, queryPaging } from '../paging.ts'
import { queryText, queryTimestamp } from '../query.ts'
import { PARAMETER_ERRORS, RANGE, readRoute, text } from '../read-route.ts'
import type { Route } from '../route.ts'
import { requireName } from '../wire/json-body.ts'
import { parseTraceBody } from '../wire/trace-body.ts'

const NAMED_LIMIT_DEFAULT = 100
const NAMES_LIMIT_DEFAULT = 50
// One MiB of data and names, with room for escapes.
const BODY_BYTES_MAX = 8 * 1024 * 1024
const tag = 'Traces'

export function traceRoutes({ engine, settings }: HttpContext): Route[] {
  return [
    {
      method: 'POST',
      path: '/api/v1/traces',
      level: 'W',
      body: 'required',
      bodyBytesMax: BODY_BYTES_MAX,
      document: {
        operationId: 'recordTrace',
        summary: 'Record what happened to a message',
        tag,
        body: RecordTraceRequestSchema,
        answers: { 201: RecordTraceAnswerSchema },
        errors: [
          'INVALID_JSON',
          'BODY_REQUIRED',
          'INVALID_BODY',
          'INVALID_NAME',
          'TOO_MANY_ITEMS',
          'MESSAGE_NOT_FOUND',
        ],
      },
      async handle(exchange) {
        const traceId = await engine.recordTrace({ ...parseTraceBody(exchange.body), workerId: settings.instanceId })
        exchange.answer(201, { success: true, traceId })
      },
    },
    readRoute(
      {
        path: '/api/v1/traces/names',
        operationId: 'listTraceNames',
        summary: 'Names of traces, latest first',
        tag,
        query: [text('search', 'part of the name'), ...pagingParameters(NAMES_LIMIT_DEFAULT), AFTER_PARAMETER],
        answer: TraceNamesAnswerSchema,
        errors: ['INVALID_PARAMETER'],
      },
      async (query) => {
        const page = await engine.traceNames(searchText(queryText(query, 'search')), {
          ...queryPaging(query, NAMES_LIMIT_DEFAULT),
          after: queryText(query, 'after'),
        })
        return { trace_names: page.rows, total: page.total, pagination: paginationOf(page) }
      },
    ),
    readRoute(
      {
        path: '/api/v1/traces/by-name/:traceName',
        operationId: 'listTracesByName',
        summary: 'Traces of one name, oldest first',
        tag,
        query: [...RANGE, ...pagingParameters(NAMED_LIMIT_DEFAULT), AFTER_PARAMETER],
        answer: NamedTracesAnswerSchema,
        errors: PARAMETER_ERRORS,
      },
      async (query, exchange) => {
        const page = await engine.tracesByName(requireName(exchange.parameters[0]!, 'traceName'), {
          from: queryTimestamp(query, 'from', 'start'),
          to: queryTimestamp(query, 'to', 'end'),
          ...queryPaging(query, NAMED_LIMIT_DEFAULT),
          after: queryText(query, 'after'),
        })
        const traces = page.traces.map((trace) => {
          const more = {
            transaction_id: trace.transactionId,
            partition_id: trace.partitionId,
            queue_name: trace.queue,
            partition_name: trace.partition,
          }
          return `${traceText(trace, more).slice(0, -1)},"message_payload":${trace.payload?.toString() ?? 'null'}}`
        })
        const { total, limit, offset, hasMore, next } = page
        const pagination = JSON.stringify({ limit, offset, hasMore, next })
        exchange.answerJson(200, `{"traces":[${traces.join()}],"total":${total},"pagination":${pagination}}`)
      },
    ),
    readRoute(
      {
        path: '/api/v1/traces/:partitionId/:transactionId',
        operationId: 'listTraces',
        summary: 'Traces of one message, oldest first',
        tag,
        answer: TracesAnswerSchema,
        errors: ['INVALID_NAME'],
      },
      async (_, exchange) => {
        const [partitionId, transactionId] = exchange.parameters
        const traces = await engine.readTraces(partitionId!, requireName(transactionId!, 'transactionId'))
        exchange.answerJson(200, `{"traces":[${traces.map((trace) => traceText(trace, {})).join()}]}`)
      },
    ),
  ]
}

/** The data is JSON text already and is put in as it is. */
function traceText(trace: StoredTrace, more: object): string {
  const fields = {
    id: trace.id,
    event_type: trace.eventType,
    consumer_group: trace.group,
    worker_id: trace.workerId,
    created_at: trace.createdAt,
    trace_names: trace.names,
    ...more,
  }
  return `${JSON.stringify(fields).slice(0, -1)},"data":${trace.data}}`
}

/** PostgreSQL stores no U+0000, so no name has one. */
export function searchText(search: string | null): string | null {
  return search === null ? null : search.replaceAll('\u0000', '\ufffd').toWellFormed()
}
