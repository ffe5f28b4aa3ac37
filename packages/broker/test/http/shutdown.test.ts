/** A server that is told to stop: nothing that runs is cut off, nothing new begins. */
import { once } from 'node:events'
import { expect, it, vi } from 'vitest'
import { HTTP_LIMITS } from '../../src/http/settings.ts'
import { EMPTY_POP, onePop, store } from './scripted-engine.ts'
import { rawClient, requestBytes, startServer } from './test-server.ts'

const PUSH = '{"items":[{"queue":"q"}]}'

it('finishes running requests, ends waiting pops 204 and refuses new ones 503 SHUTTING_DOWN', async () => {
  const pushing = Promise.withResolvers<void>()
  const waiting = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  const { port, server, ask } = await startServer({
    pushMessages: async (items) => {
      pushing.resolve()
      await held.promise
      store(items)
    },
    popMessages: async (_request, abandoned) => {
      waiting.resolve()
      await once(abandoned, 'abort')
      return EMPTY_POP
    },
  })
  const idle = await rawClient(port)
  idle.send(requestBytes('GET', '/health/live'))
  await idle.answer()
  const pusher = await rawClient(port)
  pusher.send(requestBytes('POST', '/api/v1/push', PUSH))
  const consumer = await rawClient(port)
  consumer.send(requestBytes('GET', '/api/v1/pop/queue/q?wait=true'))
  await Promise.all([pushing.promise, waiting.promise])

  const closed = server.close()
  const empty = await consumer.answer()
  expect([empty.status, empty.headers.get('connection')]).toEqual([204, 'close'])
  await Promise.all([idle.ended, consumer.ended])

  for (const [method, path] of [
    ['POST', '/api/v1/push'],
    ['GET', '/api/v1/pop/queue/q'],
    ['GET', '/nowhere'],
  ] as const) {
    const refused = await ask(method, path, method === 'POST' ? PUSH : null)
    expect([refused.status, refused.json.code, refused.headers.has('retry-after')]).toEqual([
      503,
      'SHUTTING_DOWN',
      true,
    ])
    expect(refused.headers.get('connection')).toBe('close')
  }
  expect((await ask('GET', '/health/live')).status).toBe(200)
  expect((await ask('GET', '/health/ready')).json.code).toBe('NOT_READY')
  expect((await ask('GET', '/health')).json).toMatchObject({ status: 'unhealthy', code: 'NOT_READY' })

  held.resolve()
  expect((await pusher.answer()).status).toBe(201)
  await closed
  await expect(ask('GET', '/health/live')).rejects.toThrow()
})

it('gives a claim back that arrives after the waiting pop was ended', async () => {
  const waiting = Promise.withResolvers<void>()
  const released = Promise.withResolvers<unknown>()
  const claimed = onePop()
  const { port, server } = await startServer({
    popMessages: async (_request, abandoned) => {
      waiting.resolve()
      await once(abandoned, 'abort')
      return claimed
    },
    releaseClaim: async (answer) => released.resolve(answer),
  })
  const consumer = await rawClient(port)
  consumer.send(requestBytes('GET', '/api/v1/pop/queue/q?wait=true'))
  await waiting.promise
  const closed = server.close()
  expect((await consumer.answer()).status).toBe(204)
  expect(await released.promise).toBe(claimed)
  await closed
})

it('answers a waiting pop with what autoAck has completed meanwhile: it can go to nobody else', async () => {
  const waiting = Promise.withResolvers<void>()
  const { port, server } = await startServer({
    popMessages: async (_request, abandoned) => {
      waiting.resolve()
      await once(abandoned, 'abort')
      return { ...onePop(), leaseId: '', leaseExpiresAtMs: null }
    },
  })
  const consumer = await rawClient(port)
  consumer.send(requestBytes('GET', '/api/v1/pop/queue/q?wait=true&autoAck=true'))
  await waiting.promise
  const closed = server.close()
  expect((await consumer.answer()).status).toBe(200)
  await closed
})

it('cuts what does not finish within the grace time, and may be told twice', async () => {
  const pushing = Promise.withResolvers<void>()
  const { port, server } = await startServer(
    {
      pushMessages: () => {
        pushing.resolve()
        return new Promise(() => {})
      },
    },
    { limits: { stopGraceMs: 50 } },
  )
  const pusher = await rawClient(port)
  pusher.send(requestBytes('POST', '/api/v1/push', PUSH))
  await pushing.promise
  await Promise.all([server.close(), server.close(), pusher.ended])
  expect(pusher.received()).toBe('')
})

it('waits for a running request as long as the grace time says', async () => {
  const pushing = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  const { port, server, ask } = await startServer({
    pushMessages: async (items) => {
      pushing.resolve()
      await held.promise
      store(items)
    },
  })
  const pusher = await rawClient(port)
  pusher.send(requestBytes('POST', '/api/v1/push', PUSH))
  await pushing.promise
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const closed = server.close()
    // It has begun to stop.
    expect((await ask('GET', '/nowhere')).status).toBe(503)
    vi.advanceTimersByTime(HTTP_LIMITS.stopGraceMs - 1)
    held.resolve()
    expect((await pusher.answer()).status).toBe(201)
    await closed
  } finally {
    vi.useRealTimers()
  }
})

it('can be closed without having listened, and names a port that is taken', async () => {
  const { port } = await startServer()
  const { createHttpServer } = await import('../../src/http/server.ts')
  const { scriptedEngine } = await import('./scripted-engine.ts')
  const { pino } = await import('pino')
  const settings = { corsOrigins: [], version: '1', instanceId: 'i', log: pino({ level: 'silent' }) }
  const second = await createHttpServer(scriptedEngine(), settings)
  await expect(second.listen('127.0.0.1', port)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await second.close()
})
