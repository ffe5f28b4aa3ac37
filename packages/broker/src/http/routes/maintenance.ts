/** Push and pop maintenance: the switches, their state and their history. */
import {
  MaintenanceHistorySchema,
  MaintenanceStatusSchema,
  PopMaintenanceStatusSchema,
  SwitchRequestSchema,
} from '@queen/protocol'
import type { HttpContext } from '../context.ts'
import { AFTER_PARAMETER, paginationOf, pagingParameters, queryPaging } from '../paging.ts'
import { parseQuery, queryText } from '../query.ts'
import { type Route, SMALL_BODY_BYTES_MAX } from '../route.ts'
import { bodyReader } from '../wire/json-body.ts'

const HISTORY_LIMIT_DEFAULT = 50
const BODY_ERRORS = ['INVALID_JSON', 'BODY_REQUIRED', 'INVALID_BODY'] as const
const tag = 'System'

export function maintenanceRoutes({ engine }: HttpContext): Route[] {
  const readSwitch = bodyReader(SwitchRequestSchema)
  return [
    {
      method: 'GET',
      path: '/api/v1/system/maintenance',
      level: 'A',
      body: 'none',
      document: {
        operationId: 'getMaintenance',
        summary: 'State of maintenance mode',
        tag,
        answers: { 200: MaintenanceStatusSchema },
        errors: [],
      },
      async handle(exchange) {
        exchange.answer(200, await engine.maintenanceStatus())
      },
    },
    {
      method: 'POST',
      path: '/api/v1/system/maintenance',
      level: 'A',
      body: 'required',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'setMaintenance',
        summary: 'Switch maintenance mode; when the answer to `enabled: true` is 200, it is safe to migrate',
        tag,
        body: SwitchRequestSchema,
        answers: { 200: MaintenanceStatusSchema },
        errors: [...BODY_ERRORS, 'MAINTENANCE_PENDING'],
      },
      async handle(exchange) {
        const { enabled, reason } = readSwitch(exchange.body)
        exchange.answer(200, await engine.setMaintenance(enabled, storable(reason), exchange.caller.subject))
      },
    },
    {
      method: 'GET',
      path: '/api/v1/system/maintenance/history',
      level: 'A',
      body: 'none',
      document: {
        operationId: 'listMaintenanceWindows',
        summary: 'Maintenance windows and outages, latest first',
        tag,
        query: [...pagingParameters(HISTORY_LIMIT_DEFAULT), AFTER_PARAMETER],
        answers: { 200: MaintenanceHistorySchema },
        errors: ['INVALID_PARAMETER'],
      },
      async handle(exchange) {
        const query = parseQuery(exchange.search)
        const { limit, offset } = queryPaging(query, HISTORY_LIMIT_DEFAULT)
        const page = await engine.maintenanceHistory(limit, offset, queryText(query, 'after'))
        exchange.answer(200, { windows: page.rows, total: page.total, pagination: paginationOf(page) })
      },
    },
    {
      method: 'GET',
      path: '/api/v1/system/maintenance/pop',
      level: 'A',
      body: 'none',
      document: {
        operationId: 'getPopMaintenance',
        summary: 'Whether pops are paused',
        tag,
        answers: { 200: PopMaintenanceStatusSchema },
        errors: [],
      },
      async handle(exchange) {
        exchange.answer(200, await engine.popMaintenanceStatus())
      },
    },
    {
      method: 'POST',
      path: '/api/v1/system/maintenance/pop',
      level: 'A',
      body: 'required',
      bodyBytesMax: SMALL_BODY_BYTES_MAX,
      document: {
        operationId: 'setPopMaintenance',
        summary: 'Pause or resume pops',
        tag,
        body: SwitchRequestSchema,
        answers: { 200: PopMaintenanceStatusSchema },
        errors: BODY_ERRORS,
      },
      async handle(exchange) {
        const { enabled, reason } = readSwitch(exchange.body)
        exchange.answer(200, await engine.setPopMaintenance(enabled, storable(reason)))
      },
    },
  ]
}

/** A reason is for people: what PostgreSQL cannot store is replaced. */
function storable(reason: string | null | undefined): string | null {
  return reason === null || reason === undefined ? null : reason.replaceAll('\u0000', '\ufffd').toWellFormed()
}
