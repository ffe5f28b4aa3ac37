/** What clients send that they should not: each gets its status in bounded time and memory, and the server goes on. */
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Refusal } from '../../src/engine/refusal.ts'
import type { PopAnswer } from '../../src/engine/types.ts'
import { EMPTY_POP, ID, onePop, store } from './scripted-engine.ts'
import { rawClient, requestBytes, startServer } from './test-server.ts'

const WITH_BODY: [string, string][] = [
  ['POST', '/api/v1/push'],
  ['POST', '/api/v1/ack'],
  ['POST', '/api/v1/ack/batch'],
  ['POST', '/api/v1/transaction'],
  ['POST', '/api/v1/configure'],
  ['POST', '/api/v1/system/maintenance'],
  ['POST', '/api/v1/system/maintenance/pop'],
  ['POST', `/api/v1/lease/${ID}/extend`],
  ['POST', '/api/v1/system/buffers/quarantine/x/retry'],
]
const FIELDS = new Map([
  ['/api/v1/push', 'items'],
  ['/api/v1/ack', 'error'],
  ['/api/v1/ack/batch', 'acknowledgments'],
  ['/api/v1/transaction', 'operations'],
  ['/api/v1/configure', 'options'],
  ['/api/v1/system/maintenance', 'enabled'],
  ['/api/v1/system/maintenance/pop', 'enabled'],
  [`/api/v1/lease/${ID}/extend`, 'seconds'],
  ['/api/v1/system/buffers/quarantine/x/retry', 'queue'],
])
const OPTIONAL_BODY = new Set([`/api/v1/lease/${ID}/extend`, '/api/v1/system/buffers/quarantine/x/retry'])

describe('bodies', () => {
  it('refuses what is not JSON, not UTF-8, no object or missing, on every route that takes a body', async () => {
    const { ask } = await startServer()
    const notJson = ['{', 'x', '{"a":1}x', "{'a':1}", '{"a":\u00a01}', '[1,]', '\ufeff{}', '{"a":"\u0001"}', '{"a":01}']
    for (const [method, path] of WITH_BODY) {
      for (const body of notJson) {
        const answer = await ask(method, path, body)
        expect([path, body, answer.status, answer.json.code]).toEqual([path, body, 400, 'INVALID_JSON'])
      }
      const latin1 = Buffer.from('{"a":"\xe4"}', 'latin1')
      expect((await ask(method, path, latin1)).json.code).toBe('INVALID_JSON')
      const compressed = await ask(method, path, gzipSync('{}'), { 'Content-Encoding': 'gzip' })
      expect(compressed.json).toEqual({
        error: 'The request body is not valid JSON: it is compressed',
        code: 'INVALID_JSON',
      })
      for (const body of ['[]', '"x"', '1', 'null', 'true']) {
        const answer = await ask(method, path, body)
        expect([path, body, answer.status, answer.json.code]).toEqual([path, body, 400, 'INVALID_BODY'])
      }
      for (const body of [null, '']) {
        const answer = await ask(method, path, body)
        if (OPTIONAL_BODY.has(path)) expect([path, answer.status]).toEqual([path, 200])
        else expect([path, answer.status, answer.json.code]).toEqual([path, 400, 'BODY_REQUIRED'])
      }
    }
  })

  it('reads JSON whatever the content type says', async () => {
    const { ask } = await startServer()
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', '///', '']) {
      const headers: Record<string, string> = type === '' ? {} : { 'Content-Type': type }
      expect((await ask('POST', '/api/v1/push', '{"items":[]}', headers)).status).toBe(201)
    }
  })

  it('survives nesting of 100 000 levels', async () => {
    const { ask } = await startServer()
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const objects = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`
    for (const value of [deep, objects]) {
      expect((await ask('POST', '/api/v1/push', `{"items":[{"queue":"q","payload":${value}}]}`)).status).toBe(201)
      expect(
        (
          await ask(
            'POST',
            '/api/v1/transaction',
            `{"x":${value},"operations":[{"type":"push","queue":"q","payload":${value}}]}`,
          )
        ).status,
      ).toBe(200)
      for (const [method, path] of WITH_BODY) {
        const answer = await ask(method, path, `{"${FIELDS.get(path)}":${value}}`)
        expect([path, answer.status]).toEqual([path, 400])
      }
      expect((await ask('POST', '/api/v1/ack', value)).status).toBe(400)
    }
  })

  it('takes __proto__ and constructor as ordinary unknown fields', async () => {
    const { ask } = await startServer()
    const ack = await ask('POST', '/api/v1/ack', `{"__proto__":{"transactionId":"a","partitionId":"${ID}"}}`)
    expect([ack.status, ack.json.code]).toEqual([400, 'INVALID_BODY'])
    const option = await ask('POST', '/api/v1/configure', '{"queue":"q","options":{"__proto__":1,"constructor":2}}')
    expect([option.json.code, option.json.details.options]).toEqual(['UNKNOWN_OPTION', ['__proto__', 'constructor']])
    expect(({} as Record<string, unknown>).transactionId).toBeUndefined()
  })

  it('lets the last of repeated keys win', async () => {
    const { ask } = await startServer()
    const body = `{"transactionId":1,"partitionId":"x","partitionId":"${ID}","transactionId":"b"}`
    expect((await ask('POST', '/api/v1/ack', body)).json.transactionId).toBe('b')
    expect(
      (
        await ask(
          'POST',
          '/api/v1/transaction',
          '{"operations":1,"operations":[{"type":"ack","type":"push","queue":"q"}]}',
        )
      ).json.results[0].type,
    ).toBe('push')
  })
})

describe('G9 bounded: sizes', () => {
  it('refuses a declared 100 MB body before it is sent, with and without Expect', async () => {
    const { port } = await startServer()
    for (const expectation of ['', 'Expect: 100-continue\r\n']) {
      const client = await rawClient(port)
      client.send(`POST /api/v1/push HTTP/1.1\r\nHost: a\r\n${expectation}Content-Length: 104857600\r\n\r\n{`)
      const answer = await client.answer()
      expect([answer.status, answer.json.code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
      expect(client.received()).not.toContain('100 Continue')
      client.socket.destroy()
    }
  })

  it('refuses a chunked body as soon as it is too large, and the client can read the answer while it sends', async () => {
    const { port } = await startServer({}, { limits: { bodyBytesMax: 100_000 } })
    const client = await rawClient(port)
    client.send('POST /api/v1/push HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`
    for (let i = 0; i < 20; i++) client.send(chunk)
    const answer = await client.answer()
    expect([answer.status, answer.json.code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    // The rest is thrown away and the connection goes on.
    client.send(`${chunk}0\r\n\r\n${requestBytes('GET', '/health/live')}`)
    expect((await client.answer()).json).toEqual({ status: 'ok' })
    client.socket.destroy()
  })

  it('cuts a client that goes on sending a refused body', async () => {
    const { port } = await startServer({}, { limits: { bodyBytesMax: 10 } })
    const client = await rawClient(port)
    client.send('POST /api/v1/push HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{')
    expect((await client.answer()).status).toBe(413)
    await client.ended
  })

  it('refuses bodies beyond the common budget 503 OVERLOADED and takes them again when the others are done', async () => {
    const held = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    const { ask } = await startServer(
      {
        pushMessages: async (items) => {
          arrived.resolve()
          await held.promise
          store(items)
        },
      },
      { limits: { bodiesBytesMax: 3_000 } },
    )
    const body = `{"items":[{"queue":"q","payload":"${'x'.repeat(2_000)}"}]}`
    const first = ask('POST', '/api/v1/push', body)
    await arrived.promise
    const second = await ask('POST', '/api/v1/push', body)
    expect([second.status, second.json.code, second.headers.get('retry-after')]).toEqual([503, 'OVERLOADED', '1'])
    expect((await ask('GET', '/health')).status).toBe(200)
    held.resolve()
    expect((await first).status).toBe(201)
    expect((await ask('POST', '/api/v1/push', body)).status).toBe(201)
  })

  it('answers names that are far too long with few bytes', async () => {
    const { ask } = await startServer()
    const long = 'é'.repeat(1_000_000)
    const push = await ask('POST', '/api/v1/push', JSON.stringify({ items: [{ queue: long, transactionId: long }] }))
    expect([push.status, push.json.code, push.json.details.results[0].queue]).toEqual([400, 'INVALID_NAME', null])
    const ack = { transactionId: long, partitionId: ID, leaseId: long }
    const operations = [{ type: 'ack', ...ack }]
    const answers = [
      push,
      await ask('POST', '/api/v1/push', JSON.stringify({ items: [{ queue: 'q' }, { queue: 'q', partition: long }] })),
      await ask('POST', '/api/v1/ack', JSON.stringify(ack)),
      await ask('POST', '/api/v1/ack/batch', JSON.stringify({ acknowledgments: [ack] })),
      await ask('POST', '/api/v1/transaction', JSON.stringify({ operations, requiredLeases: [long] })),
    ]
    expect(answers.map(({ status }) => status)).toEqual([400, 201, 200, 200, 200])
    for (const { text } of answers) expect(text.length).toBeLessThan(1_500)
  })

  it('takes a small body for settings only', async () => {
    const { ask } = await startServer()
    const answer = await ask('POST', '/api/v1/configure', `{"queue":"q","x":"${'x'.repeat(1024 * 1024)}"}`)
    expect([answer.status, answer.json.code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  })

  it('refuses headers that are too large and lines that are no HTTP, with a body of the usual shape', async () => {
    const { port } = await startServer()
    const garbage = [
      '\x16\x03\x01\x02\x00',
      'GET\r\n\r\n',
      'GET /a b HTTP/1.1\r\n\r\n',
      'BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n',
    ]
    const large = `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`
    for (const bytes of [...garbage, large, 'POST /x HTTP/1.1\r\nContent-Length: -5\r\n\r\n']) {
      const client = await rawClient(port)
      client.send(bytes)
      const answer = await client.answer()
      expect([answer.status, answer.json.code]).toEqual([400, 'INVALID_PARAMETER'])
      await client.ended
    }
  })

  it('refuses a body that breaks off in its transfer coding, behind what was asked before it, and closes', async () => {
    const { port } = await startServer()
    const broken = 'Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"i\r\nno size\r\n'
    for (const path of ['/api/v1/push', '/api/v1/ack', '/nowhere']) {
      const client = await rawClient(port)
      client.send(`${requestBytes('GET', '/health/live')}POST ${path} HTTP/1.1\r\n${broken}more and more`)
      expect((await client.answer()).status).toBe(200)
      const answer = await client.answer()
      if (path === '/nowhere') expect([answer.status, answer.json.code]).toEqual([404, 'NOT_FOUND'])
      else expect([answer.status, answer.json.code]).toEqual([400, 'INVALID_JSON'])
      await client.ended
      expect(client.received()).toBe('')
    }
  })

  it('answers what is running before it closes on what cannot be read', async () => {
    const arrived = Promise.withResolvers<void>()
    const popped = Promise.withResolvers<PopAnswer>()
    const { port } = await startServer({
      popMessages: () => {
        arrived.resolve()
        return popped.promise
      },
    })
    const client = await rawClient(port)
    client.send(`${requestBytes('GET', '/api/v1/pop/queue/a?wait=true')}\x16\x03\x01`)
    await arrived.promise
    client.send('and more of it')
    // The server has read that when it answers what was sent behind it.
    const other = await rawClient(port)
    other.send(requestBytes('GET', '/health/live'))
    await other.answer()
    other.socket.destroy()
    popped.resolve(onePop())
    const answer = await client.answer()
    expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close'])
    await client.ended
  })

  it('gives a waiting pop up when the body it should not have is broken', async () => {
    const gone = Promise.withResolvers<void>()
    const { port } = await startServer({
      popMessages: async (_request, abandoned) => {
        await once(abandoned, 'abort')
        gone.resolve()
        return EMPTY_POP
      },
    })
    const client = await rawClient(port)
    client.send('GET /api/v1/pop/queue/a?wait=true HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n')
    await gone.promise
    expect((await client.answer()).status).toBe(400)
    await client.ended
  })

  it('works without a Host header and with an unknown Expect', async () => {
    const { port } = await startServer()
    const client = await rawClient(port)
    client.send('GET /health/live HTTP/1.1\r\n\r\n')
    expect((await client.answer()).status).toBe(200)
    client.send(requestBytes('POST', '/api/v1/push', '{"items":[]}', { Expect: 'miracles' }))
    expect((await client.answer()).status).toBe(201)
    client.socket.destroy()
  })

  it('asks for the body of an Expect: 100-continue that fits', async () => {
    const { port } = await startServer()
    const client = await rawClient(port)
    client.send('POST /api/v1/push HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n')
    while (!client.received().includes('100 Continue')) await setImmediate()
    client.send('{"items":[]}')
    expect((await client.answer()).status).toBe(201)
    client.socket.destroy()
  })
})

describe('G9 bounded: time', () => {
  const limits = { headersTimeMs: 200, requestTimeMs: 300 }

  it('closes a connection whose body stops half-way or whose headers never end, without an answer', async () => {
    let pushes = 0
    const { port, ask } = await startServer({ pushMessages: async () => void pushes++ }, { limits })
    const half = await rawClient(port)
    half.send('POST /api/v1/push HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"items":')
    const slow = await rawClient(port)
    slow.send('POST /api/v1/push HTTP/1.1\r\nHost: a\r\nX-Slow: ')
    await Promise.all([half.ended, slow.ended])
    expect([half.received(), slow.received(), pushes]).toEqual(['', '', 0])
    expect((await ask('GET', '/health')).status).toBe(200)
  })

  it('gives the memory of a body back when its client vanishes', async () => {
    const { port, ask } = await startServer({}, { limits: { bodiesBytesMax: 3_000 } })
    const client = await rawClient(port)
    client.send(`POST /api/v1/push HTTP/1.1\r\nHost: a\r\nContent-Length: 2900\r\n\r\n${' '.repeat(2_800)}`)
    const small =
      '{"items":[{"queue":"q","payload":"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"}]}'
    const until = async (status: number) => {
      while ((await ask('POST', '/api/v1/push', small)).status !== status) await setImmediate()
    }
    await until(503)
    client.socket.destroy()
    await until(201)
  })
})

describe('pipelining', () => {
  it('answers pipelined requests in order', async () => {
    const { port } = await startServer()
    const client = await rawClient(port)
    client.send(
      Buffer.concat([
        requestBytes('POST', '/api/v1/push', '{"items":[]}'),
        requestBytes('GET', '/nowhere'),
        requestBytes('GET', '/api/v1/pop/queue/a'),
        requestBytes('GET', '/health/live'),
      ]),
    )
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) statuses.push((await client.answer()).status)
    expect(statuses).toEqual([201, 404, 204, 200])
    client.socket.destroy()
  })

  it('refuses requests beyond the depth allowed on one connection, in their order', async () => {
    const third = Promise.withResolvers<void>()
    let pushes = 0
    const { port } = await startServer(
      {
        pushMessages: async () => {
          // By then the fourth request, which came in the same packet, has been seen.
          if (++pushes === 3) setTimeout(third.resolve, 20)
          await third.promise
          throw new Refusal('BUFFER_FULL')
        },
      },
      { limits: { pipelinedMax: 3 } },
    )
    const client = await rawClient(port)
    const push = requestBytes('POST', '/api/v1/push', '{"items":[{"queue":"q"}]}')
    client.send(Buffer.concat([push, push, push, push]))
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) statuses.push((await client.answer()).status)
    expect(statuses).toEqual([507, 507, 507, 503])
    client.socket.destroy()
  })
})
