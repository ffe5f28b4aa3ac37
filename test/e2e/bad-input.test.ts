/**
 * What hostile and broken clients send, against a real broker over raw sockets. The endpoints, their parameters and
 * what they may answer come from the broker's own /openapi.json, so an endpoint that is added is attacked too.
 */
import { readFileSync } from 'node:fs'
import { ERRORS } from '@queen/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { openRaw, type RawAnswer, requestText } from '../support/raw-connection.ts'
import { until } from '../support/until.ts'

interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query'
}

interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters: readonly Parameter[]
  readonly body: 'none' | 'optional' | 'required'
  /** Names of the body's own fields. */
  readonly fields: readonly string[]
  readonly statuses: readonly number[]
  readonly codes: readonly string[]
}

const MIB = 1024 * 1024
/** Push 3 s, everything else 10 s (docs/reference/http.md); bad input is refused long before. */
const ANSWER_MS_MAX = 3_000
/** Far above what this load needs, far below what holding one of its bodies several times over would take. */
const RSS_GROWTH_BYTES_MAX = 400 * MIB

let instance: Instance
let operations: Operation[]
let rssBefore = 0

beforeAll(async () => {
  instance = await startInstance({ databaseUrl: await temporaryDatabase() })
  await until(
    'pushes go to PostgreSQL',
    async () => (await instance.api.get('/health/ready')).body.accepts === 'direct',
  )
  operations = readOperations((await instance.api.get('/openapi.json')).body)
  rssBefore = rssBytes()
})

afterAll(endLeftovers)

function rssBytes(): number {
  const status = readFileSync(`/proc/${instance.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024
}

// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document.
function readOperations(document: any): Operation[] {
  const found: Operation[] = []
  for (const [path, methods] of Object.entries<Record<string, never>>(document.paths)) {
    // biome-ignore lint/suspicious/noExplicitAny: an OpenAPI operation.
    for (const [method, operation] of Object.entries<any>(methods)) {
      const { parameters = [], requestBody, responses } = operation
      const schema = requestBody?.content?.['application/json']?.schema
      found.push({
        method: method.toUpperCase(),
        path,
        parameters,
        body: requestBody === undefined ? 'none' : requestBody.required === true ? 'required' : 'optional',
        fields: Object.keys(schema?.properties ?? {}),
        statuses: Object.keys(responses).map(Number),
        // biome-ignore lint/suspicious/noExplicitAny: an OpenAPI response.
        codes: Object.values<any>(responses).flatMap((response) => response['x-error-codes'] ?? []),
      })
    }
  }
  return found
}

const UUID = '00000000-0000-4000-8000-000000000000'
/** A path that routes, with every parameter a harmless name. */
const plainPath = ({ path }: Operation): string => path.replaceAll(/\{\w+\}/g, UUID)

async function send(bytes: string, patienceMs?: number): Promise<RawAnswer | null> {
  const connection = await openRaw(instance.url)
  try {
    connection.send(bytes)
    return await connection.answer(patienceMs)
  } finally {
    connection.close()
  }
}

/** Every complaint about an answer, as text; nothing when it is one the contract knows. */
function complaints(operation: Operation, what: string, answer: RawAnswer | null): string[] {
  const where = `${operation.method} ${operation.path} ${what}`
  if (answer === null) return [`${where}: no answer`]
  const found: string[] = []
  const { status, json, tookMs } = answer
  if (tookMs > ANSWER_MS_MAX) found.push(`${where}: ${Math.round(tookMs)} ms`)
  if (status >= 500) found.push(`${where}: ${status} ${JSON.stringify(json)}`)
  if (!operation.statuses.includes(status)) found.push(`${where}: ${status} is not documented`)
  if (status < 400) return found
  const code = json?.code as keyof typeof ERRORS
  if (ERRORS[code]?.status !== status) found.push(`${where}: ${status} with code ${code}`)
  if (!operation.codes.includes(code)) found.push(`${where}: ${code} is not documented`)
  if (typeof json?.error !== 'string' || json.error === '') found.push(`${where}: no sentence`)
  // Names of tables, stack frames and places on the disk are nobody's business.
  if (/queen\.\w+_|\bat \/|node_modules|SELECT |\/home\/|\/tmp\//.test(JSON.stringify(json)))
    found.push(`${where}: tells too much`)
  return found
}

async function attack(cases: readonly { operation: Operation; what: string; bytes: string }[]): Promise<string[]> {
  const found: string[] = []
  // Some at a time: this is about answers, not about load.
  const queue = [...cases]
  const worker = async (): Promise<void> => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      found.push(...complaints(next.operation, next.what, await send(next.bytes)))
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return found
}

/** Switches that really work would change what the other tests meet. */
const withBody = (): Operation[] => operations.filter((operation) => operation.body !== 'none')

describe('bad input', () => {
  test('the checks below would notice', async () => {
    const push = operations.find(({ path }) => path === '/api/v1/push')!
    const answer = await send(requestText('POST', push.path, '{'))
    expect(complaints(push, 'x', answer)).toEqual([])
    expect(complaints({ ...push, statuses: [201] }, 'x', answer)).toHaveLength(1)
    expect(complaints({ ...push, codes: [] }, 'x', answer)).toHaveLength(1)
    expect(complaints(push, 'x', { ...answer!, json: { error: 'at /home/q', code: 'INVALID_JSON' } })).toHaveLength(1)
    expect(complaints(push, 'x', { ...answer!, status: 500 })).not.toEqual([])
    expect(complaints(push, 'x', { ...answer!, tookMs: 1e6 })).toHaveLength(1)
    expect(complaints(push, 'x', null)).toHaveLength(1)
  })

  test('G9 bodies that are not JSON, not UTF-8, not an object, or missing: documented refusals on every endpoint', async () => {
    expect(withBody().length).toBeGreaterThan(7)
    const bodies = [
      '{',
      'x',
      '{"a":1}x',
      "{'a':1}",
      '\ufeff{}',
      '{"a":"\u0001"}',
      '[]',
      '"x"',
      '1',
      'null',
      '\u0000',
      '[[[[[[',
    ]
    const cases = withBody().flatMap((operation) =>
      bodies.map((body) => ({
        operation,
        what: body,
        bytes: requestText(operation.method, plainPath(operation), body),
      })),
    )
    const deep = `{"items":${'['.repeat(100_000)}`
    for (const operation of withBody()) {
      cases.push({ operation, what: 'deep', bytes: requestText(operation.method, plainPath(operation), deep) })
      cases.push({ operation, what: 'no body', bytes: requestText(operation.method, plainPath(operation), null) })
    }
    expect(await attack(cases)).toEqual([])
    for (const operation of withBody()) {
      const answer = await send(requestText(operation.method, plainPath(operation), '{'))
      expect([operation.path, answer?.status, answer?.json.code]).toEqual([operation.path, 400, 'INVALID_JSON'])
      const list = await send(requestText(operation.method, plainPath(operation), '[]'))
      expect([operation.path, list?.status, list?.json.code]).toEqual([operation.path, 400, 'INVALID_BODY'])
    }
  }, 60_000)

  test('G9 every field of every body with values of the wrong type and out of range', async () => {
    const values = [
      null,
      true,
      -1,
      0,
      1.5,
      1e308,
      -1e308,
      2 ** 53,
      '',
      ' ',
      'x'.repeat(256),
      'a\u0007b',
      '\ud800',
      [],
      [null],
      [1],
      {},
      { a: 1 },
    ]
    const cases = withBody().flatMap((operation) => {
      const fields = operation.fields.length > 0 ? operation.fields : ['anything']
      return fields.flatMap((field) =>
        values
          // A switch that is really flipped would change what the others meet.
          .filter((value) => !(field === 'enabled' && typeof value === 'boolean'))
          .map((value) => {
            const body = JSON.stringify({ [field]: value })
            return {
              operation,
              what: body.slice(0, 60),
              bytes: requestText(operation.method, plainPath(operation), body),
            }
          }),
      )
    })
    expect(cases.length).toBeGreaterThan(150)
    expect(await attack(cases)).toEqual([])
  }, 60_000)

  test('G9 names in paths: 256 characters, control characters, encoded slashes, broken escapes, SQL', async () => {
    const names = [
      'x'.repeat(256),
      'a%00b',
      'a%0Ab',
      '%7F',
      '%C2%85',
      'a%2Fb',
      '%E4',
      '%ZZ',
      '%',
      '..',
      '.',
      '%2e%2e%2f',
      "'%3B--",
      '%F0%9F%90%9D',
      '+',
    ]
    const cases = operations
      .filter((operation) => operation.path.includes('{'))
      .flatMap((operation) =>
        names.map((name) => ({
          operation,
          what: name.slice(0, 20),
          bytes: requestText(
            operation.method,
            operation.path.replaceAll(/\{\w+\}/g, name),
            operation.body === 'none' ? null : '{}',
          ),
        })),
      )
    // A path of dots alone is another path.
    const routed = cases.filter(({ what }) => what !== '..' && what !== '.')
    expect(await attack(routed)).toEqual([])
    for (const bad of ['x'.repeat(256), 'a%00b', 'a%0Ab', '%7F']) {
      const answer = await send(requestText('GET', `/api/v1/pop/queue/${bad}`, null))
      expect([bad.slice(0, 10), answer?.status, answer?.json?.code]).toEqual([bad.slice(0, 10), 400, 'INVALID_NAME'])
    }
    const slash = await instance.api.push([{ queue: 'a/b', transactionId: 'slash' }])
    expect(slash.status).toBe(201)
    const popped = await send(requestText('GET', '/api/v1/pop/queue/a%2Fb?autoAck=true', null))
    expect(popped?.json.messages).toMatchObject([{ queue: 'a/b', transactionId: 'slash' }])
  }, 60_000)

  test('G9 every query parameter with negative, huge, fractional, empty and repeated values', async () => {
    const values = [
      '-1',
      '0',
      '1.5',
      '99999999999999999999',
      '1e9',
      'x',
      '',
      'NaN',
      '%00',
      '%ZZ',
      'x'.repeat(300),
      "'%20OR%201=1",
    ]
    const cases = operations
      .filter((operation) => operation.parameters.some((parameter) => parameter.in === 'query'))
      .flatMap((operation) =>
        operation.parameters
          .filter((parameter) => parameter.in === 'query')
          .flatMap(({ name }) =>
            values.map((value) => {
              // Waiting is right for some of these; what is under test is the answer.
              const rest = name === 'timeout' ? '&wait=false' : '&timeout=100'
              const path = `${plainPath(operation)}?${name}=${value}&${name}=2${rest}`
              return {
                operation,
                what: `${name}=${value.slice(0, 20)}`,
                bytes: requestText(operation.method, path, null),
              }
            }),
          ),
      )
    expect(cases.length).toBeGreaterThan(100)
    expect(await attack(cases)).toEqual([])
  }, 60_000)

  test('unknown paths and methods', async () => {
    for (const { method, path } of operations) {
      const other = method === 'PATCH' ? 'PUT' : 'PATCH'
      const answer = await send(requestText(other, path.replaceAll(/\{\w+\}/g, UUID), null))
      expect([path, answer?.status, answer?.json.code]).toEqual([path, 405, 'METHOD_NOT_ALLOWED'])
      expect(answer?.headers).toMatch(/\r\nallow: /i)
    }
    const missing = await send(requestText('POST', '/api/v1/nothing', '{}'))
    expect(missing).toMatchObject({ status: 404, json: { code: 'NOT_FOUND' } })
    for (const bytes of [
      '\r\n\r\n',
      'GET\r\n\r\n',
      '\u0016\u0003\u0001\u0000',
      `GET /${'x'.repeat(70_000)} HTTP/1.1\r\n\r\n`,
    ]) {
      // Some of these may yet become a request; they are cut off later.
      const answer = await send(bytes, 500)
      if (answer !== null) expect(answer.status).toBeGreaterThanOrEqual(400)
    }
  })

  test('G9 valid items beside invalid ones are stored', async () => {
    const items = [
      { queue: 'mixed', transactionId: 'first' },
      { queue: '' },
      { queue: 7 },
      { queue: 'x'.repeat(256) },
      { queue: 'mixed', traceId: 'no uuid' },
      { queue: 'mixed', partition: 'a\u0000b' },
      { queue: 'mixed', payload: 'a\u0000b' },
      { queue: 'mixed', transactionId: 'last' },
    ]
    const answer = await instance.api.post('/api/v1/push', { items })
    expect(answer.status).toBe(201)
    expect(answer.body.map((result: { status: string }) => result.status)).toEqual([
      'queued',
      ...Array(6).fill('failed'),
      'queued',
    ])
    expect(answer.body.slice(1, 7).map((result: { code: string }) => result.code)).toEqual([
      'INVALID_NAME',
      'INVALID_NAME',
      'INVALID_NAME',
      'INVALID_TRACE_ID',
      'INVALID_NAME',
      'INVALID_PAYLOAD',
    ])
    const popped = await instance.api.pop('mixed', { batch: 10, autoAck: true })
    expect(popped.body.messages).toMatchObject([{ transactionId: 'first' }, { transactionId: 'last' }])
  })

  test('G9 a body of 100 MB is refused with 413, declared or not, without being held in memory', async () => {
    for (const { method, path } of withBody()) {
      const target = path.replaceAll(/\{\w+\}/g, UUID)
      const declared = await openRaw(instance.url)
      declared.send(`${method} ${target} HTTP/1.1\r\nHost: queen\r\nContent-Length: ${100 * MIB}\r\n\r\n`)
      const refused = await declared.answer()
      expect([path, refused?.status, refused?.json.code]).toEqual([path, 413, 'PAYLOAD_TOO_LARGE'])
      declared.close()
    }
    const chunked = await openRaw(instance.url)
    chunked.send('POST /api/v1/push HTTP/1.1\r\nHost: queen\r\nTransfer-Encoding: chunked\r\n\r\n')
    const size = 100 * MIB
    chunked.send(`${size.toString(16)}\r\n`)
    const flooding = chunked.flood(size)
    const refused = await chunked.answer()
    expect([refused?.status, refused?.json.code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    chunked.close()
    await flooding
    expect(rssBytes() - rssBefore).toBeLessThan(RSS_GROWTH_BYTES_MAX)
  }, 60_000)

  test('G9 forty clients whose bodies stop half-way hold nobody else up', async () => {
    const stuck = await Promise.all(Array.from({ length: 40 }, () => openRaw(instance.url)))
    for (const connection of stuck) {
      connection.send('POST /api/v1/push HTTP/1.1\r\nHost: queen\r\nContent-Length: 60000000\r\n\r\n{"items": [')
    }
    const pushed = await instance.api.push([{ queue: 'beside' }])
    expect(pushed).toMatchObject({ status: 201, body: [{ status: 'queued' }] })
    expect(pushed.tookMs).toBeLessThan(1_000)
    for (const connection of stuck) connection.close()
    // What they had begun to say was never a request.
    expect((await instance.api.pop('beside', { batch: 10, autoAck: true })).body.messages).toHaveLength(1)
    expect(rssBytes() - rssBefore).toBeLessThan(RSS_GROWTH_BYTES_MAX)
  })

  test('G9 clients that never read what they asked for hold nobody else up', async () => {
    const payload = 'x'.repeat(4 * MIB)
    for (let index = 0; index < 8; index++) await instance.api.push([{ queue: 'large', payload }])
    const deaf = await Promise.all(Array.from({ length: 16 }, () => openRaw(instance.url)))
    deaf.forEach((connection, index) => {
      connection.socket.pause()
      const query = `batch=100&autoAck=true&consumerGroup=deaf-${index}&subscriptionMode=all`
      connection.send(requestText('GET', `/api/v1/pop/queue/large?${query}`, null))
    })
    // The groups' claims show that the answers were made, with nobody reading them.
    const pushed = await until('others are served', async () => {
      const answer = await instance.api.push([{ queue: 'beside-deaf' }])
      return answer.status === 201 ? answer : null
    })
    expect(pushed.tookMs).toBeLessThan(3_000)
    expect((await instance.api.pop('beside-deaf', { wait: true, timeout: 5_000 })).status).toBe(200)
    for (const connection of deaf) connection.close()
    await until('the memory is given back', () => rssBytes() - rssBefore < RSS_GROWTH_BYTES_MAX)
  }, 60_000)

  test('the same process is still there, healthy, and has logged no defect', async () => {
    expect(instance.isRunning).toBe(true)
    expect((await instance.api.get('/health')).body).toMatchObject({ status: 'healthy', database: 'connected' })
    expect((await instance.api.maintenance()).body).toMatchObject({ maintenanceMode: false, quarantinedMessages: 0 })
    const defects = instance.output.split('\n').filter((line) => / (ERROR|FATAL) /.test(line))
    expect(defects).toEqual([])
  })
})
