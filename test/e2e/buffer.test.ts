/** The file buffer at its edges, as a producer and an operator meet them: full, broken, encrypted, asked for. */
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { ItemResult } from '../support/api.ts'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase, temporaryPostgres } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)
// Several process starts in each: a busy machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

function pushOf(items: readonly object[]): string {
  const body = JSON.stringify({ items })
  return `POST /api/v1/push HTTP/1.1\r\nHost: queen.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

describe('file buffer', () => {
  test('G9 G2 full: 507 BUFFER_FULL with Retry-After, nothing dropped, accepting again after the drain', async () => {
    const instance = await startInstance({
      databaseUrl: await temporaryDatabase(),
      env: { FILE_BUFFER_BYTES_MAX: '64KiB' },
    })
    const { api } = instance
    await api.maintenance(true)
    const item = (index: number) => ({ queue: 'orders', transactionId: `t-${index}`, payload: 'x'.repeat(2_000) })
    let accepted = 0
    const full = await until('the buffer is full', async () => {
      const answer = await api.push([item(accepted)])
      if (answer.status !== 201) return answer
      accepted++
      return null
    })
    expect(full).toMatchObject({ status: 507, body: { code: 'BUFFER_FULL' } })
    expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(accepted).toBeGreaterThan(10)
    const status = (await api.maintenance()).body
    expect(status).toMatchObject({ bufferHealthy: false, bufferedMessages: accepted })
    expect(instance.bufferBytes().length).toBeLessThan(96 * 1024)
    // Without a way to accept a push the instance takes itself out of the load balancer.
    expect(await api.get('/health/ready')).toMatchObject({ status: 503, body: { code: 'NOT_READY' } })
    expect((await api.get('/health')).body.status).toBe('unhealthy')

    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    expect((await api.push([item(accepted)])).body).toMatchObject([{ status: 'queued' }])
    const popped = await api.pop('orders', { batch: 1000, autoAck: true })
    const ids = popped.body.messages.map((message: { transactionId: string }) => message.transactionId)
    expect(ids).toEqual(Array.from({ length: accepted + 1 }, (_, index) => `t-${index}`))
  })

  test('G1 G9 clients cannot take the files that it needs: turned away, and pushes buffered all the same', async () => {
    const instance = await startInstance({ databaseUrl: await temporaryDatabase(), openFilesMax: 200 })
    const { api } = instance
    await api.maintenance(true)
    const clients = Array.from({ length: 400 }, () => connect(Number(new URL(instance.url).port), '127.0.0.1'))
    for (const client of clients) client.on('error', () => {})
    try {
      const closed = () => clients.filter((client) => client.destroyed || client.readableEnded).length
      for (const client of clients) client.resume()
      await until('clients are turned away', async () => closed() > 200)
      await until('the log says so', async () => instance.output.includes('clients are turned away'))
      const [one] = clients.filter((client) => !client.destroyed && !client.readableEnded)
      one!.write(pushOf([{ queue: 'orders', transactionId: 'a' }]))
      const [answer] = (await once(one!, 'data')) as [Buffer]
      expect(answer.toString()).toContain('"status":"buffered"')
    } finally {
      for (const client of clients) client.destroy()
    }
    await until('there is room again', async () => (await api.maintenance(false).catch(() => null))?.status === 200)
  })

  test.each(['EIO', 'ENOSPC'] as const)(
    'G1 G9 a disk that answers %s: refused with Retry-After, healed by itself',
    async (errno) => {
      const instance = await startInstance({ databaseUrl: await temporaryDatabase(), crashPoints: true })
      const { api } = instance
      await api.maintenance(true)
      expect((await api.push([{ queue: 'orders', transactionId: 'a' }])).status).toBe(201)
      await instance.breakDisk(errno)
      const refused = await api.push([{ queue: 'orders', transactionId: 'b' }])
      expect(refused.body.code).toBe(errno === 'EIO' ? 'BUFFER_UNAVAILABLE' : 'BUFFER_FULL')
      expect(refused.status).toBe(errno === 'EIO' ? 503 : 507)
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
      expect((await api.maintenance()).body).toMatchObject({ bufferHealthy: false, bufferedMessages: 1 })
      await instance.breakDisk(null)
      await until('pushes are accepted again', async () => {
        return (await api.push([{ queue: 'orders', transactionId: 'c' }])).status === 201
      })
      expect((await api.maintenance()).body.bufferHealthy).toBe(true)
      await api.maintenance(false)
      await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
      const popped = await api.pop('orders', { batch: 10, autoAck: true })
      expect(popped.body.messages).toMatchObject([{ transactionId: 'a' }, { transactionId: 'c' }])
    },
  )

  test('G1 a broken buffer does not touch pushes that PostgreSQL takes', async () => {
    const instance = await startInstance({ databaseUrl: await temporaryDatabase(), crashPoints: true })
    const { api } = instance
    await until(
      'pushes go to PostgreSQL',
      async () => (await api.push([{ queue: 'probe' }])).body[0].status === 'queued',
    )
    await instance.breakDisk('EIO')
    expect((await api.push([{ queue: 'orders' }])).body).toMatchObject([{ status: 'queued' }])
    const withBuffer = await api.push([{ queue: 'orders' }], { bufferMs: 1_000 })
    expect(withBuffer.body).toMatchObject([{ status: 'queued' }])
  })

  test('an encrypted payload is in clear neither in the files of PostgreSQL nor in those of the buffer', async () => {
    const postgres = await temporaryPostgres()
    const key = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'
    const instance = await startInstance({ databaseUrl: postgres.url, env: { QUEEN_ENCRYPTION_KEY: key } })
    const { api } = instance
    await until('the broker is connected', async () => (await api.get('/health')).body.database === 'connected')
    const options = { encryptionEnabled: true }
    await until('the queue is there', async () => {
      return (await api.post('/api/v1/configure', { queue: 'vault', options })).status === 200
    })
    // Beside each secret a public one: a search that finds nothing must be able to find something.
    const push = (text: string) =>
      api.push([
        { queue: 'vault', payload: { text: `secret-${text}` } },
        { queue: 'street', payload: { text: `public-${text}` } },
      ])
    await until(
      'pushes go to PostgreSQL',
      async () => (await api.push([{ queue: 'probe' }])).body[0].status === 'queued',
    )
    const stored = (await push('direct-8e1f')).body as ItemResult[]
    expect(stored.map((result) => result.status)).toEqual(['queued', 'queued'])
    await api.maintenance(true)
    await push('buffered-5b2c')
    const bufferBytes = instance.bufferBytes()
    expect(bufferBytes.includes('public-buffered-5b2c')).toBe(true)
    expect(bufferBytes.includes('secret-')).toBe(false)
    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')
    const popped = await api.pop('vault', { batch: 10, autoAck: true })
    expect(popped.body.messages).toMatchObject([
      { data: { text: 'secret-direct-8e1f' } },
      { data: { text: 'secret-buffered-5b2c' } },
    ])
    const tables = await openTables(postgres.url)
    await tables.query('CHECKPOINT')
    const found = new Set<string>()
    for (const entry of readdirSync(postgres.dataDir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const bytes = readFileSync(join(entry.parentPath, entry.name))
      for (const text of ['public-direct-8e1f', 'public-buffered-5b2c', 'secret-'])
        if (bytes.includes(text)) found.add(text)
    }
    expect([...found].sort()).toEqual(['public-buffered-5b2c', 'public-direct-8e1f'])
  })

  test('bufferMs: answered buffered at once, stored after the time or when bufferMax wait', async () => {
    const instance = await startInstance({ databaseUrl: await temporaryDatabase() })
    const { api } = instance
    await until(
      'pushes go to PostgreSQL',
      async () => (await api.push([{ queue: 'probe' }])).body[0].status === 'queued',
    )
    const waiting = api.pop('slow', { wait: true, timeout: 20_000, batch: 10 })
    const sentAt = performance.now()
    const pushed = await api.push([{ queue: 'slow', transactionId: 'a' }], { bufferMs: 600 })
    expect(pushed.body).toMatchObject([{ status: 'buffered', message_id: null }])
    expect((await waiting).body.messages).toMatchObject([{ transactionId: 'a' }])
    expect(performance.now() - sentAt).toBeGreaterThanOrEqual(550)

    const many = api.pop('fast', { wait: true, timeout: 20_000, batch: 10 })
    const manySentAt = performance.now()
    for (let index = 0; index < 5; index++) await api.push([{ queue: 'fast' }], { bufferMs: 60_000, bufferMax: 5 })
    expect((await many).status).toBe(200)
    expect(performance.now() - manySentAt).toBeLessThan(10_000)
    await until('nothing waits', async () => (await instance.buffered()) === 0)
    // A message that was asked to wait is not overtaken by one that was not.
    await api.push([{ queue: 'order', transactionId: 'first' }], { bufferMs: 300 })
    await api.push([{ queue: 'order', transactionId: 'second' }])
    await until('both are stored', async () => (await instance.buffered()) === 0)
    const ordered = await api.pop('order', { batch: 10, wait: true, timeout: 5_000 })
    expect(ordered.body.messages).toMatchObject([{ transactionId: 'first' }, { transactionId: 'second' }])
  })
})
