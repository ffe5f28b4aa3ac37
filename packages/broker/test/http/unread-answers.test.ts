/** Answers that clients do not take: each is bounded in memory and time, and small ones are still given. */
import { once } from 'node:events'
import { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import type { PopAnswer } from '../../src/engine/types.ts'
import { EMPTY_POP, ID, onePop, scriptedEngine } from './scripted-engine.ts'
import { rawClient, requestBytes, startServer, type TestServer } from './test-server.ts'

describe('G9 bounded: the time of an answer', () => {
  it('lets the time of an answer run out twice by halves, as node takes the write itself for progress', async () => {
    const times = vi.spyOn(Socket.prototype, 'setTimeout')
    try {
      const large = onePop(JSON.stringify('x'.repeat(400_000)))
      const { ask } = await startServer({ popMessages: async () => large }, { limits: { answerStallTimeMs: 44_444 } })
      expect((await ask('GET', '/api/v1/pop/queue/a')).status).toBe(200)
      expect(times.mock.calls.map(([ms]) => ms)).toContain(22_222)
    } finally {
      times.mockRestore()
    }
  })

  it('does not count the time that an answer waits behind another', async () => {
    const times = vi.spyOn(Socket.prototype, 'setTimeout')
    const poll = Promise.withResolvers<PopAnswer>()
    let meanwhile: unknown[] = []
    const answerPoll = () => {
      meanwhile = times.mock.calls.map(([ms]) => ms)
      poll.resolve(EMPTY_POP)
    }
    try {
      const { port } = await startServer(
        // Its answer is there when the sockets have their turn again.
        { popMessages: () => poll.promise, pushMessages: async () => void setImmediate().then(answerPoll) },
        { limits: { answerStallTimeMs: 44_444 } },
      )
      const client = await rawClient(port)
      const push = requestBytes('POST', '/api/v1/push', '{"items":[{"queue":"q"}]}')
      client.send(Buffer.concat([requestBytes('GET', '/api/v1/pop/queue/a?wait=true'), push]))
      expect([(await client.answer()).status, (await client.answer()).status]).toEqual([204, 201])
      expect(meanwhile).not.toContain(22_222)
      client.socket.destroy()
    } finally {
      times.mockRestore()
    }
  })

  it('cuts a client that takes one of its answers and nothing of the next', async () => {
    const sizes = [3_000_000, 30_000_000]
    const server = await startServer(
      { popMessages: async () => onePop(JSON.stringify('x'.repeat(sizes.shift() ?? 1))) },
      // Enough for the first answer on a machine that does other things.
      { limits: { answerStallTimeMs: 2_000, answersBytesMax: 20_000_000 } },
    )
    const client = await rawClient(server.port)
    const pop = requestBytes('GET', '/api/v1/pop/queue/a')
    client.send(Buffer.concat([pop, pop]))
    await client.answer()
    client.socket.pause()
    await new Promise((resolve) => {
      client.socket.on('close', resolve)
      waitForFreePop(server).then(() => client.socket.resume())
    })
  })

  it('cuts a client that takes nothing of its answer, and stays bounded meanwhile', async () => {
    const large = onePop(JSON.stringify('x'.repeat(30_000_000)))
    const server = await startServer(
      { popMessages: async () => large },
      { limits: { answerStallTimeMs: 200, answersBytesMax: 20_000_000 } },
    )
    const client = await rawClient(server.port)
    client.socket.pause()
    client.send(requestBytes('GET', '/api/v1/pop/queue/a'))
    const overloaded = await refusedPop(server)
    expect([overloaded.status, overloaded.json.code]).toEqual([503, 'OVERLOADED'])
    // Only a paused socket that is read again learns that it was cut.
    await new Promise((resolve) => {
      client.socket.on('close', resolve)
      waitForFreePop(server).then(() => client.socket.resume())
    })
  })
})

describe('G9 bounded: clients that take their answers a byte at a time', () => {
  const large = onePop(JSON.stringify('x'.repeat(30_000_000)))

  it('give way when others need the room', async () => {
    const limits = { answerStallTimeMs: 1_000_000, answerSlowTimeMs: 1, answersBytesMax: 20_000_000 }
    const server = await startServer({ popMessages: async () => large }, { limits })
    const client = await rawClient(server.port)
    client.socket.pause()
    client.send(requestBytes('GET', '/api/v1/pop/queue/a'))
    expect((await refusedPop(server)).json.code).toBe('OVERLOADED')
    await waitForFreePop(server)
    client.socket.resume()
    await client.ended
  })

  it('are let be for a while', async () => {
    const limits = { answerStallTimeMs: 1_000_000, answersBytesMax: 20_000_000 }
    const server = await startServer({ popMessages: async () => large }, { limits })
    const client = await rawClient(server.port)
    client.socket.pause()
    client.send(requestBytes('GET', '/api/v1/pop/queue/a'))
    expect((await refusedPop(server)).json.code).toBe('OVERLOADED')
    client.socket.resume()
    expect((await client.answer()).json.messages[0].data).toHaveLength(30_000_000)
    client.socket.destroy()
  })
})

describe('an answer of megabytes', () => {
  const payload = JSON.stringify('x'.repeat(3_000_000))

  it('arrives whole, with what was pipelined behind it', async () => {
    const { port } = await startServer({ popMessages: async () => onePop(payload) })
    const client = await rawClient(port)
    client.send(Buffer.concat([requestBytes('GET', '/api/v1/pop/queue/a'), requestBytes('GET', '/health/live')]))
    const large = await client.answer()
    expect(large.status).toBe(200)
    expect(large.json.messages[0].data).toHaveLength(3_000_000)
    expect((await client.answer()).status).toBe(200)
    client.socket.destroy()
  })

  it('may be left behind by its client at any point', async () => {
    const server = await startServer(
      { popMessages: async () => onePop(payload) },
      { limits: { answersBytesMax: 10_000_000 } },
    )
    for (let i = 0; i < 20; i++) {
      const client = await rawClient(server.port)
      client.socket.once('data', () => client.socket.destroy())
      client.send(requestBytes('GET', '/api/v1/pop/queue/a'))
      await client.ended
    }
    // Nothing of it counts any more.
    await waitForFreePop(server)
  })
})

describe('G9 bounded: large answers to what changes nothing', () => {
  it('are refused while clients do not take theirs; small ones are not', async () => {
    const bytes = 30_000_000
    const { readMessage } = scriptedEngine()
    const payload = Buffer.from(JSON.stringify('x'.repeat(bytes)))
    const server = await startServer(
      { readMessage: async (...which) => ({ ...(await readMessage(...which)), payload }) },
      { limits: { answersBytesMax: 20_000_000 } },
    )
    const path = `/api/v1/messages/${ID}/a`
    const client = await rawClient(server.port)
    client.socket.pause()
    client.send(requestBytes('GET', path))
    let refused = await server.ask('GET', path)
    while (refused.status === 200) refused = await server.ask('GET', path)
    expect([refused.status, refused.json.code, refused.headers.get('retry-after')]).toEqual([503, 'OVERLOADED', '1'])
    for (const small of ['/health', '/api/v1/status', '/api/v1/system/maintenance']) {
      expect([small, (await server.ask('GET', small)).status]).toEqual([small, 200])
    }
    expect((await server.ask('POST', '/api/v1/push', '{"items":[{"queue":"q"}]}')).status).toBe(201)
    const nothing = (items: number) =>
      server.ask('POST', '/api/v1/push', JSON.stringify({ items: Array(items).fill({}) }))
    expect([(await nothing(1)).json.code, (await nothing(10_000)).json.code]).toEqual(['INVALID_NAME', 'OVERLOADED'])
    client.socket.destroy()
    while (refused.status !== 200) refused = await server.ask('GET', path)
    expect(refused.json.payload).toHaveLength(bytes)
  })
})

describe('files of the page that clients do not take', () => {
  it('cost others no room, and are cut off all the same', async () => {
    const plain = Buffer.alloc(30_000_000, ' ')
    const file = { type: 'text/html', etag: '"e"', immutable: false, plain, brotli: null, gzip: null }
    const server = await startServer(
      { popMessages: async () => onePop() },
      { pageFiles: new Map([['/index.html', file]]), limits: { answerStallTimeMs: 200, answersBytesMax: 20_000_000 } },
    )
    const client = await rawClient(server.port)
    const begun = once(client.socket, 'data')
    client.send(requestBytes('GET', '/'))
    await begun
    client.socket.pause()
    expect((await server.ask('GET', '/api/v1/pop/queue/a')).status).toBe(200)
    const ended = /queen_http_requests_total\{method="other",route="unmatched",status="200"\} 1/
    while (!ended.test((await server.ask('GET', '/metrics/prometheus')).text)) await setImmediate()
    client.socket.resume()
    await client.ended
    expect(client.received().length).toBeLessThan(plain.length)
  })
})

describe('G9 bounded: pops that are answered in the same moment', () => {
  // Large enough to be counted until all of it has left, and for two of them not to fit.
  const answer = onePop(JSON.stringify('x'.repeat(400_000)))
  const limits = { answersBytesMax: 400_000 }

  /** Three of them wait in the engine, which is then told that it has something for all of them. */
  async function threeAtOnce(popped: PopAnswer, autoAck: boolean) {
    const messages = Promise.withResolvers<PopAnswer>()
    const parked = Promise.withResolvers<void>()
    const asked: (() => boolean)[] = []
    const released: [PopAnswer, boolean][] = []
    const server = await startServer(
      {
        popMessages: async (_request, _abandoned, hasRoom) => {
          asked.push(hasRoom!)
          if (asked.length === 3) parked.resolve()
          return messages.promise
        },
        releaseClaim: async (given) => void released.push([given, asked[0]!()]),
      },
      { limits },
    )
    const pops = [1, 2, 3].map(() => server.ask('GET', `/api/v1/pop/queue/a?wait=true&autoAck=${autoAck}`))
    await parked.promise
    const hadRoom = asked.map((hasRoom) => hasRoom())
    messages.resolve(popped)
    return { server, answers: await Promise.all(pops), released, hadRoom }
  }

  it('are written while there is room; the other claims are given back and answered 503, and none is taken meanwhile', async () => {
    const { server, answers, released, hadRoom } = await threeAtOnce(answer, false)
    expect(hadRoom).toEqual([true, true, true])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 503, 503])
    expect(answers.find(({ status }) => status === 503)!.json.code).toBe('OVERLOADED')
    expect(released).toEqual([
      [answer, false],
      [answer, false],
    ])
    await waitForFreePop(server)
  })

  it('wait for room when autoAck has completed their messages: none of them is lost', async () => {
    const { answers, released } = await threeAtOnce({ ...answer, leaseId: '', leaseExpiresAtMs: null }, true)
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    for (const { json } of answers) expect(json.messages[0].data).toHaveLength(400_000)
    expect(released).toEqual([])
  })
})

async function refusedPop(server: TestServer) {
  for (;;) {
    const answer = await server.ask('GET', '/api/v1/pop/queue/a')
    if (answer.status !== 200) return answer
  }
}

async function waitForFreePop(server: TestServer): Promise<void> {
  while ((await server.ask('GET', '/api/v1/pop/queue/a')).status !== 200) await setImmediate()
}
