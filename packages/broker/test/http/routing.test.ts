/** Which route a request reaches, and what the path means. */
import { fastify } from 'fastify'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import type { PopRequest } from '../../src/engine/types.ts'
import { httpContext } from '../../src/http/context.ts'
import type { Method, Route } from '../../src/http/route.ts'
import { serveRoutes } from '../../src/http/serve-routes.ts'
import { EMPTY_POP, scriptedEngine } from './scripted-engine.ts'
import { startServer } from './test-server.ts'

describe('routing', () => {
  it('answers an unknown path 404 NOT_FOUND and a known one with another method 405 with Allow', async () => {
    const { ask } = await startServer()
    for (const path of [
      '/',
      '/health/',
      '/api/v1',
      '/api/v1/push/',
      '//health',
      '/streams/v1/x',
      '/api/v1/message/a',
    ]) {
      const answer = await ask('GET', path)
      expect([path, answer.status, answer.json.code]).toEqual([path, 404, 'NOT_FOUND'])
    }
    const wrong = await ask('PUT', '/api/v1/system/maintenance', '{}')
    expect([wrong.status, wrong.json.code, wrong.headers.get('allow')]).toEqual([
      405,
      'METHOD_NOT_ALLOWED',
      'GET, HEAD, POST, OPTIONS',
    ])
    expect((await ask('GET', '/api/v1/push')).headers.get('allow')).toBe('POST, OPTIONS')
    expect((await ask('PATCH', '/api/v1/queues/a/clear')).status).toBe(405)
  })

  it('tells known paths from unknown ones whatever the method and its content type, without reading the body', async () => {
    const { ask } = await startServer()
    const types = ['///', 'application/json; charset="x', 'text/plain']
    for (const method of ['PATCH', 'PUT', 'TRACE', 'QUERY', 'PROPFIND', 'M-SEARCH']) {
      for (const type of types) {
        const headers = { 'Content-Type': type, 'Accept-Version': '1.0' }
        const known = await ask(method, '/api/v1/push', 'x', headers)
        expect([method, known.status, known.headers.get('allow')]).toEqual([method, 405, 'POST, OPTIONS'])
        expect([method, (await ask(method, '/nowhere', 'x', headers)).status]).toEqual([method, 404])
      }
      expect([method, (await ask(method, '/nowhere')).status]).toEqual([method, 404])
    }
    const headers = { 'Content-Type': '///', 'Content-Length': '99999999999' }
    expect((await ask('OPTIONS', '/api/v1/push', null, headers)).status).toBe(204)
    expect((await ask('DELETE', '/api/v1/queues/a/clear', null, headers)).status).toBe(200)
  })

  it('matches fixed segments as they are written, not as they decode', async () => {
    const { ask } = await startServer()
    for (const path of ['/%68ealth', '/health%20', '/Health', '/api%2Fv1%2Fpush', '/health#x', '/%', '/%2']) {
      expect([path, (await ask('GET', path)).status]).toEqual([path, 404])
    }
  })

  it('answers HEAD where it answers GET, without a body, but not on pop', async () => {
    const { ask } = await startServer()
    const head = await ask('HEAD', '/health')
    expect([head.status, head.text]).toEqual([200, ''])
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(100)
    for (const path of ['/api/v1/pop', '/api/v1/pop/queue/a', '/api/v1/pop/queue/a/partition/b']) {
      const pop = await ask('HEAD', path)
      expect([pop.status, pop.headers.get('allow')]).toEqual([405, 'GET, OPTIONS'])
    }
  })

  it('decodes each segment of the raw path exactly once', async () => {
    let seen: PopRequest | null = null
    const { ask } = await startServer({
      popMessages: async (request) => {
        seen = request
        return EMPTY_POP
      },
    })
    const cases: [string, string][] = [
      ['a%2Fb', 'a/b'],
      ['a+b', 'a+b'],
      ['a%20b', 'a b'],
      ['a%2525', 'a%25'],
      ['100%', '100%'],
      ['%zz', '%zz'],
      ['%ff', '%ff'],
      ['%E2%82', '%E2%82'],
      ['%E2%82%AC', '€'],
      ['queue', 'queue'],
      ['%2e%2e', '..'],
      ['a#b', 'a#b'],
      ['%23', '#'],
      ['%00%', '%00%'],
      ['%F0%9F%98%80'.repeat(255), '😀'.repeat(255)],
      ['a;b=c', 'a;b=c'],
    ]
    for (const [raw, name] of cases) {
      seen = null
      const answer = await ask('GET', `/api/v1/pop/queue/${raw}/partition/${raw}`)
      expect([raw, answer.status]).toEqual([raw, 204])
      expect(seen).toMatchObject({ queue: name, partition: name })
    }
  })

  it('lets literal segments win and takes a target in absolute form', async () => {
    const { ask } = await startServer()
    expect((await ask('GET', '/api/v1/system/maintenance/history')).json).toHaveProperty('windows')
    expect((await ask('GET', '/api/v1/system/maintenance/pop')).json).toHaveProperty('popMaintenanceMode')
    expect((await ask('GET', 'http://queen.test:6632/health/live?x=1')).json).toEqual({ status: 'ok' })
    expect((await ask('GET', 'http://queen.test')).status).toBe(404)
  })
})

describe('a table of routes', () => {
  it('keeps a literal path from the parameters of another path that serves more methods', async () => {
    const called: string[] = []
    const route = (method: Method, path: string): Route => ({
      method,
      path,
      level: 'R',
      body: 'none',
      document: { operationId: path, summary: '', tag: '', answers: {}, errors: [] },
      handle(exchange) {
        called.push(`${method} ${path} ${exchange.parameters.join()}`)
        exchange.answer(200, {})
      },
    })
    const settings = { corsOrigins: [], version: '1', instanceId: 'i', log: pino({ level: 'silent' }) }
    const app = fastify()
    const table = [route('DELETE', '/groups/:group'), route('GET', '/groups/lagging'), route('GET', '/groups/:group/x')]
    serveRoutes(app, httpContext(scriptedEngine(), settings), table)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const ask = async (method: string, path: string) => {
      const answer = await fetch(url + path, { method })
      return [answer.status, answer.headers.get('allow')]
    }
    expect(await ask('DELETE', '/groups/lagging')).toEqual([405, 'GET, HEAD, OPTIONS'])
    for (const method of ['PUT', 'PATCH', 'PROPFIND']) {
      expect(await ask(method, '/groups/lagging')).toEqual([405, 'GET, HEAD, OPTIONS'])
      expect(await ask(method, '/groups/other')).toEqual([405, 'DELETE, OPTIONS'])
    }
    expect(await ask('GET', '/groups/lagging')).toEqual([200, null])
    expect(await ask('GET', '/groups/other')).toEqual([405, 'DELETE, OPTIONS'])
    expect(await ask('DELETE', '/groups/other')).toEqual([200, null])
    expect(await ask('GET', '/groups/lagging/x')).toEqual([200, null])
    expect(called).toEqual(['GET /groups/lagging ', 'DELETE /groups/:group other', 'GET /groups/:group/x lagging'])
    await app.close()
  })
})

describe('web pages', () => {
  it('answers OPTIONS on any path 204, and CORS headers on every answer', async () => {
    const { ask } = await startServer()
    const requests: [string, string, number][] = [
      ['OPTIONS', '/api/v1/push', 204],
      ['OPTIONS', '*', 204],
      ['OPTIONS', '/nowhere', 204],
      ['GET', '/health', 200],
      ['GET', '/nowhere', 404],
      ['GET', '/api/v1/pop/queue/a', 204],
    ]
    for (const [method, path, status] of requests) {
      const { headers, status: actual } = await ask(method, path)
      expect([path, actual]).toEqual([path, status])
      expect(headers.get('access-control-allow-origin')).toBe('*')
      expect(headers.get('access-control-allow-methods')).toBe('GET, POST, PUT, DELETE, OPTIONS')
      expect(headers.get('access-control-allow-headers')).toBe('Content-Type, Authorization')
      expect(headers.get('access-control-max-age')).toBe('86400')
      expect(headers.get('access-control-expose-headers')).toBe('Retry-After, Queen-Empty-Reason, Date')
    }
  })

  it('names a listed origin and no other when origins are configured', async () => {
    const { ask } = await startServer({}, { corsOrigins: ['https://dash.example'] })
    const listed = await ask('GET', '/health', null, { Origin: 'https://dash.example' })
    expect(listed.headers.get('access-control-allow-origin')).toBe('https://dash.example')
    expect(listed.headers.get('vary')).toBe('Origin')
    const other = await ask('GET', '/health', null, { Origin: 'https://evil.example' })
    expect(other.headers.has('access-control-allow-origin')).toBe(false)
    expect(other.status).toBe(200)
  })

  it('refuses administrative routes to a foreign origin, and only those', async () => {
    let switched = 0
    const { ask } = await startServer(
      {
        setPopMaintenance: async (on, reason) => {
          switched++
          return { popMaintenanceMode: on, since: null, reason, message: '' }
        },
      },
      { corsOrigins: ['https://dash.example', '*'] },
    )
    const flip = (origin: string) =>
      ask('POST', '/api/v1/system/maintenance/pop', '{"enabled":true}', { Origin: origin })
    for (const origin of ['https://evil.example', 'null', 'http://queen.test', 'http://queen.test:6632.evil.example']) {
      const answer = await flip(origin)
      expect([origin, answer.status, answer.json.code]).toEqual([origin, 403, 'FORBIDDEN_ORIGIN'])
    }
    expect(switched).toBe(0)
    for (const origin of ['http://queen.test:6632', 'https://QUEEN.test:6632', 'https://dash.example']) {
      expect([origin, (await flip(origin)).status]).toEqual([origin, 200])
    }
    expect((await ask('DELETE', '/api/v1/resources/queues/a', null, { Origin: 'https://evil.example' })).status).toBe(
      403,
    )
    expect((await ask('POST', '/api/v1/push', '{"items":[]}', { Origin: 'https://evil.example' })).status).toBe(201)
  })
})
