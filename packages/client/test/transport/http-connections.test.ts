/** Connections of our own to a server that speaks in bytes: when they are used again, and how they end. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { createExchange, type WireRequest } from '../../src/transport/node-http.ts'

const servers: Server[] = []
const sockets = new Set<Socket>()
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  for (const server of servers.splice(0)) server.close()
})

/** Called with each request of a connection, which of them it is, and how many connections there were. */
type Reply = (socket: Socket, request: string, turn: number) => void

async function serve(reply: Reply) {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    sockets.add(socket)
    let turn = 0
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const head = text.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/.exec(text)?.[1] ?? 0)
      if (head < 0 || text.length < head + 4 + length) return
      const request = text
      text = ''
      reply(socket, request, turn++)
    })
  })
  servers.push(server.listen(0, '127.0.0.1'))
  await once(server, 'listening')
  const exchange = createExchange()
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const ask = (more: Partial<WireRequest> = {}, path = '/x') =>
    exchange(url + path, { method: 'GET', headers: {}, signal: new AbortController().signal, ...more })
  return { ask, url, connections: () => connections }
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'
const causeOf = (error: unknown) => (error as { cause?: { message?: string; code?: string } }).cause

describe('a request', () => {
  test('is written as HTTP/1.1 wants it, ASCII or not', async () => {
    const seen: string[] = []
    const { ask, url } = await serve((socket, request) => {
      seen.push(request)
      socket.write(OK)
    })
    await ask({ headers: { 'x-a': 'ä' } }, '/a%20b?c=d')
    await ask({ method: 'POST' })
    await ask({ method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' })
    await ask({ method: 'POST', body: '"€"' })
    await ask({ method: 'POST', body: { before: '[', texts: ['1', 'x'.repeat(2_000)], after: ']', isAscii: true } })
    const host = `host: ${url.slice('http://'.length)}\r\n`
    expect(seen).toEqual([
      `GET /a%20b?c=d HTTP/1.1\r\n${host}x-a: ä\r\n\r\n`,
      `POST /x HTTP/1.1\r\n${host}content-length: 0\r\n\r\n`,
      `POST /x HTTP/1.1\r\n${host}content-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}`,
      `POST /x HTTP/1.1\r\n${host}content-length: 5\r\n\r\n${Buffer.from('"€"').toString('latin1')}`,
      `POST /x HTTP/1.1\r\n${host}content-length: 2004\r\n\r\n[1,${'x'.repeat(2_000)}]`,
    ])
  })

  test('with a header that would end its line is not sent', async () => {
    const { ask, connections } = await serve((socket) => socket.write(OK))
    for (const headers of [{ a: 'b\r\nc: d' }, { 'a: b\r\nc': 'd' }, { a: 'b\0' }, { a: '€' }] as Record<
      string,
      string
    >[])
      await expect(ask({ headers })).rejects.toThrow('fetch failed')
    expect(connections()).toBe(0)
  })
})

describe('a request that is no plain one', () => {
  test('says itself how it is framed, once', async () => {
    const seen: string[] = []
    const { ask } = await serve((socket, request) => {
      seen.push(request.toLowerCase())
      socket.write(OK)
    })
    await ask({ method: 'POST', headers: { 'content-length': '7' }, body: '{"a":1}' })
    await ask({ method: 'POST', headers: { 'transfer-encoding': 'chunked' }, body: '{"a":1}' })
    await ask({ headers: { connection: 'close' } })
    const framing = (request: string) => request.match(/^(?:content-length|transfer-encoding|connection): .*$/gm)
    expect(seen.map(framing)).toEqual([
      ['content-length: 7', 'connection: keep-alive'],
      ['transfer-encoding: chunked', 'connection: keep-alive'],
      ['connection: close'],
    ])
  })

  test('goes where its URL leads: dots, spaces and line ends are read as everywhere', async () => {
    const seen: string[] = []
    const { ask } = await serve((socket, request) => {
      seen.push(request.split('\r\n')[0]!)
      socket.write(OK)
    })
    for (const path of ['/a/../b', '/a b', '/ä?c=ö', '/a#b', '/a HTTP/1.1\r\nx: y']) await ask({}, path)
    expect(seen).toEqual(
      ['/b', '/a%20b', '/%C3%A4?c=%C3%B6', '/a', '/a%20HTTP/1.1x:%20y'].map((path) => `GET ${path} HTTP/1.1`),
    )
  })

  test.each([
    ['on connections of our own', {}],
    ["by Node's client", { connection: 'close' }],
  ])('a redirect is followed, %s', async (_name, headers) => {
    const { ask } = await serve((socket, request) => {
      const there = request.startsWith('GET /there')
      socket.end(there ? OK : 'HTTP/1.1 307 Temporary Redirect\r\nlocation: /there\r\ncontent-length: 4\r\n\r\nhere')
    })
    const answer = await ask({ headers }, '/here')
    expect([answer.status, await answer.text()]).toEqual([200, 'ok'])
  })

  test("is lost in the middle of its answer by Node's client too", async () => {
    const { ask } = await serve((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe'))
    const error = await ask({ headers: { connection: 'close' } }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TypeError)
    expect(causeOf(error)).toBeDefined()
  })
})

describe('a connection', () => {
  test('carries one request after the other, and as many at a time as are asked', async () => {
    const { ask, connections } = await serve((socket) => socket.write(OK))
    for (let i = 0; i < 5; i++) expect(await (await ask()).text()).toBe('ok')
    expect(connections()).toBe(1)
    await Promise.all([ask(), ask(), ask()])
    expect(connections()).toBe(3)
  })

  test.each([
    ['says close', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok'],
    ['says more than its answer', `${OK}HTTP/1.1 200 OK\r\n`],
    ['has no patience', 'HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok'],
  ])('that %s is not used again', async (_name, answer) => {
    const { ask, connections } = await serve((socket) => socket.write(answer))
    for (let i = 0; i < 3; i++) expect(await (await ask()).text()).toBe('ok')
    expect(connections()).toBe(3)
  })

  test('whose answer came before all was sent is not used again', async () => {
    const { ask, connections } = await serve(() => {})
    servers.at(-1)!.on('connection', (socket: Socket) => {
      socket.removeAllListeners('data')
      socket.pause()
      socket.write(OK)
    })
    const body = 'x'.repeat(20 * 1024 * 1024)
    expect((await ask({ method: 'POST', body })).status).toBe(200)
    expect((await ask()).status).toBe(200)
    expect(connections()).toBe(2)
  })

  test('G9 rests only beside 255 others', async () => {
    const arrived: Socket[] = []
    const all = Promise.withResolvers<void>()
    const two = Promise.withResolvers<void>()
    let closed = 0
    const { ask, connections } = await serve((socket) => {
      socket.on('close', () => ++closed === 2 && two.resolve())
      if (arrived.push(socket) === 258) all.resolve()
    })
    const answers = Array.from({ length: 258 }, () => ask())
    await all.promise
    for (const socket of arrived) socket.write(OK)
    await Promise.all(answers)
    await two.promise
    expect([connections(), closed]).toEqual([258, 2])
  })

  test('closed while it rests is replaced without an error', async () => {
    const { ask, connections } = await serve((socket) => socket.write(OK))
    await ask()
    // Closed when the other side has seen the end, and ended too.
    await Promise.all([...sockets].map((socket) => once(socket.end(), 'close')))
    expect((await ask()).status).toBe(200)
    expect(connections()).toBe(2)
  })

  test('lost before, in the middle of, or instead of an answer', async () => {
    const { ask } = await serve((socket, request) => {
      if (request.includes('/before')) socket.destroy()
      else if (request.includes('/middle')) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe')
      else socket.end('not HTTP at all\r\n\r\n')
    })
    const lost = async (path: string) => {
      const error = await ask({}, path).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(TypeError)
      return causeOf(error)
    }
    expect(await lost('/before')).toMatchObject({ code: 'ECONNRESET' })
    expect(await lost('/middle')).toMatchObject({ message: 'the connection was lost in the middle of the answer' })
    expect(await lost('/other')).toMatchObject({ message: 'the answer is not HTTP/1.1' })
  })

  test('that was never made says why', async () => {
    const { ask } = await serve(() => {})
    const server = servers.pop()!
    server.close()
    await once(server, 'close')
    const error = await ask().catch((thrown: unknown) => thrown)
    expect(causeOf(error)?.code).toBe('ECONNREFUSED')
  })

  test('ends with the abort of its request, and only of its own', async () => {
    const arrived: Record<string, PromiseWithResolvers<Socket>> = {
      second: Promise.withResolvers(),
      third: Promise.withResolvers(),
    }
    const { ask, connections } = await serve((socket, request) => {
      const [, name] = /\/(\w+)/.exec(request)!
      if (arrived[name!] === undefined) socket.write(OK)
      else arrived[name!]!.resolve(socket)
    })
    const first = new AbortController()
    await ask({ signal: first.signal }, '/first')
    const second = ask({}, '/second')
    const socket = await arrived.second!.promise
    // It is over with: the connection is another request's now.
    first.abort()
    socket.write(OK)
    expect(await (await second).text()).toBe('ok')
    const third = new AbortController()
    const hanging = ask({ signal: third.signal }, '/third')
    const gone = once(await arrived.third!.promise, 'close')
    third.abort(new Error('enough'))
    await expect(hanging).rejects.toThrow('enough')
    await gone
    expect((await ask()).status).toBe(200)
    expect(connections()).toBe(2)
  })

  test('brings a large answer whole', async () => {
    const text = 'queen '.repeat(4_000_000)
    const { ask } = await serve((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n`)
      socket.write(text)
    })
    expect((await (await ask()).text()) === text).toBe(true)
  })
})
