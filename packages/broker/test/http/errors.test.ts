/** Every code of the error table, as a client sees it. */
import { readFile } from 'node:fs/promises'
import { ERRORS, type ErrorCode, ITEM_ERRORS } from '@queen/protocol'
import { describe, expect, it } from 'vitest'
import { Refusal } from '../../src/engine/refusal.ts'
import { startServer } from './test-server.ts'

const CODES = Object.keys(ERRORS) as ErrorCode[]

describe('error answers', () => {
  it('have status, code, one sentence and Retry-After as the table says, for every code', async () => {
    let refusal = new Refusal('INTERNAL')
    const { ask } = await startServer({ deleteQueue: () => Promise.reject(refusal) })
    for (const code of CODES.filter((code) => code !== 'METHOD_NOT_ALLOWED')) {
      const { status, message } = ERRORS[code]
      refusal = new Refusal(code, undefined, { details: { a: 1 } })
      const answer = await ask('DELETE', '/api/v1/resources/queues/q')
      expect([answer.status, answer.json]).toEqual([status, { error: message, code, details: { a: 1 } }])
      expect(answer.headers.get('retry-after')).toBe([429, 503, 507].includes(status) ? '1' : undefined)
      expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : undefined)
      expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    }
  })

  it('of status 503 keep older consumers alive, whatever they are made of', async () => {
    let refusal = new Refusal('INTERNAL')
    const { ask } = await startServer({ deleteQueue: () => Promise.reject(refusal) })
    const messages = [
      undefined,
      'canceling statement due to statement timeout',
      'Timed Out',
      'connection refused',
      'Deadline Exceeded',
      '',
    ]
    for (const code of CODES.filter((code) => ERRORS[code].status === 503)) {
      for (const message of messages) {
        refusal = new Refusal(code, message, {
          details: { name: 'TIMEOUT', list: ['timed out', { timeout: 1 }] },
          fields: { status: 'Deadline exceeded' },
          retryAfterSeconds: 2.2,
        })
        const answer = await ask('DELETE', '/api/v1/resources/queues/q')
        expect([answer.status, answer.json.code, answer.headers.get('retry-after')]).toEqual([503, code, '3'])
        expect(answer.json.error).toContain('connection refused')
        expect(answer.json.error).toContain('ECONNREFUSED')
        expect(answer.text).not.toMatch(/time[-_ ]?out|timed out|deadline exceeded/i)
      }
    }
  })

  it('say nothing of a defect but an id that the log knows', async () => {
    const { ask, logged } = await startServer({
      deleteQueue: () => Promise.reject(new Error('select secret from /etc/passwd')),
    })
    const answer = await ask('DELETE', '/api/v1/resources/queues/q')
    expect([answer.status, answer.json.error, answer.json.code]).toEqual([500, 'Internal error', 'INTERNAL'])
    expect(Object.keys(answer.json.details)).toEqual(['id'])
    expect(logged.find(({ id }) => id === answer.json.details.id)).toMatchObject({ level: 50 })
    expect(answer.text).not.toContain('secret')
  })

  it('of status 401 and 403 come before those of the body', async () => {
    const { ask } = await startServer(
      {},
      {
        authenticate: (request, level) => {
          if (request.headers.authorization === undefined) throw new Refusal('AUTH_REQUIRED')
          if (level === 'A')
            return Promise.reject(new Refusal('FORBIDDEN', undefined, { details: { required: 'admin' } }))
          return { subject: 'alice' }
        },
      },
    )
    expect((await ask('POST', '/api/v1/push', 'x')).json.code).toBe('AUTH_REQUIRED')
    const bearer = { Authorization: 'Bearer x', Origin: 'https://elsewhere.example' }
    expect((await ask('POST', '/api/v1/push', 'x', bearer)).json.code).toBe('INVALID_JSON')
    const forbidden = await ask('POST', '/api/v1/system/maintenance', 'x', bearer)
    expect([forbidden.status, forbidden.json.code]).toEqual([403, 'FORBIDDEN'])
  })

  it('let nobody pass whose check fails with nothing to say', async () => {
    let pushes = 0
    for (const authenticate of [() => Promise.reject(null), () => Promise.reject(undefined)]) {
      const { ask } = await startServer({ pushMessages: async () => void pushes++ }, { authenticate })
      const answer = await ask('POST', '/api/v1/push', '{"items":[{"queue":"q"}]}')
      expect([answer.status, answer.json.code, pushes]).toEqual([500, 'INTERNAL', 0])
    }
  })
})

describe('docs/reference/errors.md', () => {
  it('lists exactly the codes, statuses and messages of the table', async () => {
    const text = await readFile(new URL('../../../../docs/reference/errors.md', import.meta.url), 'utf8')
    const rows = [...text.matchAll(/^\| `([A-Z_]+)` \| (\d+|item) \| (yes|no) \| (.+) \|$/gm)].map((match) =>
      match.slice(1),
    )
    const expected = [
      ...CODES.map((code) => [
        code,
        String(ERRORS[code].status),
        ERRORS[code].retryable ? 'yes' : 'no',
        ERRORS[code].message,
      ]),
      ...Object.entries(ITEM_ERRORS).map(([code, message]) => [code, 'item', 'no', message]),
    ]
    expect(rows).toEqual(expected)
  })
})
