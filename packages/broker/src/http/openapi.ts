/** The OpenAPI document, made from the route table: what is documented is what is served. */
import { ERRORS, ErrorBodySchema, type ErrorCode } from '@queen/protocol'
import type { TSchema } from 'typebox'
import type { Route } from './route.ts'

const COMMON: readonly ErrorCode[] = ['INTERNAL', 'OVERLOADED', 'DATABASE_UNAVAILABLE', 'SHUTTING_DOWN']
const WITH_BODY: readonly ErrorCode[] = ['PAYLOAD_TOO_LARGE']
const ADMINISTRATIVE: readonly ErrorCode[] = ['FORBIDDEN_ORIGIN']

const PROTECTED: readonly ErrorCode[] = ['AUTH_REQUIRED', 'INVALID_TOKEN', 'TOKEN_EXPIRED', 'FORBIDDEN', 'NOT_READY']

const LEVELS = { P: 'public', R: 'read', W: 'write', A: 'administer' } as const

export function openApiDocument(routes: readonly Route[], version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] ??= {}
    paths[path][route.method.toLowerCase()] = operation(route)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Queen',
      version,
      description: 'A message queue on PostgreSQL whose producers never notice a database migration.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      schemas: { Error: ErrorBodySchema },
      // Only brokers with authentication ask for it; sent to another one it does no harm.
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  }
}

function operation(route: Route): Record<string, unknown> {
  const { operationId, summary, tag, query = [], body } = route.document
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const inQuery = query.map((parameter) => ({ ...parameter, in: 'query', required: false }))
  return {
    operationId,
    summary,
    tags: [tag],
    'x-level': LEVELS[route.level],
    security: route.level === 'P' ? [] : [{ bearer: [] }, {}],
    parameters: [...inPath, ...inQuery],
    ...(body === undefined
      ? {}
      : { requestBody: { required: route.body === 'required', content: { 'application/json': { schema: body } } } }),
    responses: responses(route),
  }
}

function responses(route: Route): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [status, codes] of errorsByStatus(route)) {
    const message = codes.map((code) => `\`${code}\`: ${ERRORS[code].message}.`).join(' ')
    out[status] = {
      description: message,
      'x-error-codes': codes,
      ...content({ $ref: '#/components/schemas/Error' } as unknown as TSchema),
      ...(status === 429 || status === 503 || status === 507
        ? { headers: { 'Retry-After': { schema: { type: 'integer', minimum: 1 }, description: 's' } } }
        : {}),
    }
  }
  for (const [status, schema] of Object.entries(route.document.answers)) {
    const known = out[status] as Record<string, unknown> | undefined
    if (schema === null) {
      out[status] = { description: 'Nothing', headers: { 'Queen-Empty-Reason': { schema: { type: 'string' } } } }
    } else if (known !== undefined) {
      // An error of this route that says more than others do.
      const both = { anyOf: [schema, { $ref: '#/components/schemas/Error' }] } as unknown as TSchema
      out[status] = { ...known, ...content(both) }
    } else {
      out[status] = { description: 'Done', ...content(schema, route.path === '/metrics/prometheus') }
    }
  }
  return out
}

/** The codes this route can answer with. */
export function errorCodes(route: Route): ErrorCode[] {
  const codes = new Set<ErrorCode>([...route.document.errors, ...COMMON])
  if (route.body !== 'none') for (const code of WITH_BODY) codes.add(code)
  if (route.level === 'A') for (const code of ADMINISTRATIVE) codes.add(code)
  if (route.level !== 'P') for (const code of PROTECTED) codes.add(code)
  return [...codes]
}

function errorsByStatus(route: Route): [number, ErrorCode[]][] {
  const grouped = Map.groupBy(errorCodes(route), (code): number => ERRORS[code].status)
  return [...grouped].sort(([a], [b]) => a - b)
}

function content(schema: TSchema, text = false): Record<string, unknown> {
  return { content: { [text ? 'text/plain' : 'application/json']: { schema } } }
}
