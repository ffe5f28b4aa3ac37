/** The OpenAPI document against the running server, in both directions. */
import { ERRORS, type ErrorCode } from '@queen/protocol'
import { Compile } from 'typebox/compile'
import { expect, it } from 'vitest'
import { Refusal } from '../../src/engine/refusal.ts'
import { ID, LEASE_ID, onePop, scriptedEngine } from './scripted-engine.ts'
import { startServer } from './test-server.ts'

interface Operation {
  operationId: string
  parameters: { name: string; in: string }[]
  requestBody?: { required: boolean }
  responses: Record<string, { content?: Record<string, { schema: object }>; 'x-error-codes'?: ErrorCode[] }>
}
type Document = {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: { Error: object } }
}

/** What the contract asks of this server. */
const CONTRACT = [
  'GET /health',
  'GET /health/live',
  'GET /health/ready',
  'GET /metrics',
  'GET /metrics/prometheus',
  'GET /openapi.json',
  'POST /api/v1/configure',
  'DELETE /api/v1/resources/queues/{queue}',
  'DELETE /api/v1/queues/{queue}/clear',
  'POST /api/v1/push',
  'GET /api/v1/pop/queue/{queue}',
  'GET /api/v1/pop/queue/{queue}/partition/{partition}',
  'GET /api/v1/pop',
  'POST /api/v1/ack',
  'POST /api/v1/ack/batch',
  'POST /api/v1/transaction',
  'POST /api/v1/lease/{leaseId}/extend',
  'GET /api/v1/dlq',
  'GET /api/v1/messages',
  'GET /api/v1/messages/{transactionId}',
  'GET /api/v1/messages/{partitionId}/{transactionId}',
  'DELETE /api/v1/messages/{partitionId}/{transactionId}',
  'POST /api/v1/messages/{partitionId}/{transactionId}/retry',
  'POST /api/v1/messages/{partitionId}/{transactionId}/dlq',
  'POST /api/v1/dlq/retry',
  'DELETE /api/v1/dlq',
  'GET /api/v1/consumer-groups',
  'GET /api/v1/consumer-groups/lagging',
  'GET /api/v1/consumer-groups/{group}',
  'DELETE /api/v1/consumer-groups/{group}',
  'DELETE /api/v1/consumer-groups/{group}/queues/{queue}',
  'POST /api/v1/consumer-groups/{group}/subscription',
  'POST /api/v1/consumer-groups/{group}/queues/{queue}/seek',
  'POST /api/v1/consumer-groups/{group}/queues/{queue}/partitions/{partition}/seek',
  'POST /api/v1/stats/refresh',
  'POST /api/v1/traces',
  'GET /api/v1/traces/{partitionId}/{transactionId}',
  'GET /api/v1/traces/by-name/{traceName}',
  'GET /api/v1/traces/names',
  'GET /api/v1/resources/overview',
  'GET /api/v1/resources/queues',
  'GET /api/v1/resources/queues/{queue}',
  'GET /api/v1/resources/partitions',
  'GET /api/v1/resources/namespaces',
  'GET /api/v1/resources/tasks',
  'GET /api/v1/status',
  'GET /api/v1/status/queues',
  'GET /api/v1/status/queues/{queue}',
  'GET /api/v1/status/queues/{queue}/messages',
  'GET /api/v1/status/analytics',
  'GET /api/v1/analytics/system-metrics',
  'GET /api/v1/analytics/worker-metrics',
  'GET /api/v1/analytics/queue-lag',
  'GET /api/v1/analytics/queue-ops',
  'GET /api/v1/analytics/queue-parked-replicas',
  'GET /api/v1/analytics/retention',
  'GET /api/v1/analytics/postgres-stats',
  'GET /api/v1/status/buffers',
  'GET /api/v1/system/maintenance',
  'POST /api/v1/system/maintenance',
  'GET /api/v1/system/maintenance/pop',
  'POST /api/v1/system/maintenance/pop',
  'GET /api/v1/system/maintenance/history',
  'GET /api/v1/system/buffers/quarantine',
  'POST /api/v1/system/buffers/quarantine/{id}/retry',
  'DELETE /api/v1/system/buffers/quarantine/{id}',
]

const BODIES: Record<string, string> = {
  configureQueue: '{"queue":"orders"}',
  pushMessages: '{"items":[{"queue":"a"},{"queue":""}]}',
  ackMessage: `{"transactionId":"t","partitionId":"${ID}"}`,
  ackMessages: `{"acknowledgments":[{"transactionId":"t","partitionId":"${ID}"},{"transactionId":"t","partitionId":"${ID}","status":"x"}]}`,
  executeTransaction: `{"operations":[{"type":"push","queue":"a"},{"type":"ack","transactionId":"t","partitionId":"${ID}"}]}`,
  extendLease: '{}',
  setMaintenance: '{"enabled":true}',
  setPopMaintenance: '{"enabled":true}',
  retryQuarantined: '{}',
  retryMessage: '{}',
  deadLetterMessage: '{}',
  retryDeadLetters: '{"all":true}',
  moveSubscription: '{"subscriptionTimestamp":"2026-11-23"}',
  seekQueue: '{"toEnd":true}',
  seekPartition: '{}',
  refreshStats: '{}',
  recordTrace: `{"transactionId":"t","partitionId":"${ID}","data":null}`,
}
const VALUES: Record<string, string> = {
  queue: 'orders',
  partition: 'p7',
  leaseId: LEASE_ID,
  id: 'r-1',
  group: 'g',
  partitionId: ID,
  transactionId: 't',
  traceName: 'n',
}
/** What a path cannot be asked without. */
const QUERIES: Record<string, string> = { '/api/v1/pop': '?task=t', '/api/v1/dlq': '?queue=orders' }
const target = (path: string) =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) => VALUES[name]!) + (QUERIES[path] ?? '')

it('documents every path and method that is served, and serves every one that is documented', async () => {
  const { ask } = await startServer({ popMessages: async () => onePop() })
  const document: Document = (await ask('GET', '/openapi.json')).json
  expect(document.openapi).toBe('3.1.0')
  const ids = new Set<string>()
  const served: string[] = []
  for (const [path, operations] of Object.entries(document.paths)) {
    const documented = Object.keys(operations).map((method) => method.toUpperCase())
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await ask(method, target(path), BODIES[operations.post?.operationId ?? ''] ?? '{}')
      expect([path, method, answer.status === 405]).toEqual([path, method, !documented.includes(method)])
      expect([path, answer.status]).not.toEqual([path, 404])
    }
    const allow = (await ask('PUT', target(path))).headers.get('allow')!.split(', ')
    expect(allow.filter((method) => method !== 'OPTIONS' && method !== 'HEAD').sort()).toEqual(documented.sort())
    served.push(...documented.map((method) => `${method} ${path}`))
    for (const operation of Object.values(operations)) {
      expect(ids.has(operation.operationId)).toBe(false)
      ids.add(operation.operationId)
      const inPath = operation.parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`)
      expect(inPath).toEqual(path.match(/\{\w+\}/g) ?? [])
    }
  }
  expect(served.sort()).toEqual([...CONTRACT].sort())
})

it('describes the answers that are given, successes and errors', async () => {
  let refusal: Refusal | null = null
  const engine = scriptedEngine({ popMessages: async () => onePop() })
  const script = Object.fromEntries(
    Object.entries(engine).map(([name, method]) => [
      name,
      (...given: never[]) => {
        if (refusal !== null && name !== 'health') return Promise.reject(refusal)
        return (method as (...given: never[]) => unknown)(...given)
      },
    ]),
  )
  const { ask } = await startServer(script)
  const document: Document = (await ask('GET', '/openapi.json')).json
  const matches = (schema: object, value: unknown) => [
    ...Compile(
      JSON.parse(
        JSON.stringify(schema)
          .replaceAll('#/components/schemas/Error', '#/$defs/Error')
          .replace(/^\{/, `{"$defs":{"Error":${JSON.stringify(document.components.schemas.Error)}},`),
      ),
    ).Errors(value),
  ]
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { operationId, responses }] of Object.entries(operations)) {
      const body = BODIES[operationId] ?? null
      refusal = null
      const answer = await ask(method.toUpperCase(), target(path), body)
      const described = responses[answer.status]
      expect([operationId, answer.status, described === undefined]).toEqual([operationId, answer.status, false])
      expect(answer.status).toBeLessThan(300)
      const json = described!.content?.['application/json']
      if (json !== undefined) expect([operationId, matches(json.schema, answer.json)]).toEqual([operationId, []])
      if (path.startsWith('/health') || path.startsWith('/metrics') || path === '/openapi.json') continue
      const codes = Object.values(responses).flatMap((response) => response['x-error-codes'] ?? [])
      for (const code of codes) {
        refusal = new Refusal(code, undefined, code === 'METHOD_NOT_ALLOWED' ? { details: { allow: '' } } : {})
        const refused = await ask(method.toUpperCase(), target(path), body)
        expect([operationId, refused.status, refused.json.code]).toEqual([operationId, ERRORS[code].status, code])
        const schema = responses[refused.status]!.content!['application/json']!.schema
        expect([operationId, code, matches(schema, refused.json)]).toEqual([operationId, code, []])
      }
    }
  }
})
