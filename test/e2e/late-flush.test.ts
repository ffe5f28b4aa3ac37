/** A flush that the network holds back, and delivers when its messages have long been stored from the buffer. */
import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { startInstance } from '../support/instance.ts'
import { atEnd, endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

/** Holds back what is sent on connections of before `hold()`, whatever becomes of their sender, until `release()`. */
class HoldingProxy {
  readonly #server = createServer((client) => this.#accept(client))
  readonly #sockets = new Set<Socket>()
  readonly #older = new Set<{ held: Buffer[]; upstream: Socket }>()
  readonly #current = new Set<{ held: Buffer[]; upstream: Socket }>()
  readonly #target: URL
  held = 0

  constructor(databaseUrl: string) {
    this.#target = new URL(databaseUrl)
  }

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const url = new URL(this.#target)
    url.port = String((this.#server.address() as AddressInfo).port)
    return url.href
  }

  hold(): void {
    for (const connection of this.#current) this.#older.add(connection)
  }

  release(): void {
    for (const { held, upstream } of this.#older) for (const chunk of held) if (upstream.writable) upstream.write(chunk)
    this.#older.clear()
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept(client: Socket): void {
    const upstream = createConnection(Number(this.#target.port), '127.0.0.1')
    const connection = { held: [] as Buffer[], upstream }
    this.#current.add(connection)
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
    }
    client.on('data', (chunk: Buffer) => {
      if (!this.#older.has(connection)) upstream.write(chunk)
      else {
        this.held += chunk.length
        connection.held.push(chunk)
      }
    })
    // The server does not learn that its client has gone: that, too, is a packet.
    client.on('close', () => {
      if (!this.#older.has(connection)) upstream.destroy()
    })
    upstream.on('data', (chunk) => client.write(chunk))
    upstream.on('close', () => client.destroy())
  }
}

test.each([
  // Without a window the same id is another message.
  [0, 'before'],
  [3600, 'late'],
])(
  'G2 G3 is stored, and not a second time, dedupWindowSeconds %i',
  async (dedupWindowSeconds, transactionId) => {
    const directUrl = await temporaryDatabase()
    const proxy = new HoldingProxy(directUrl)
    atEnd(() => proxy.close())
    const { api } = await startInstance({ databaseUrl: await proxy.open() })
    await api.post('/api/v1/configure', { queue: 'orders', options: { dedupWindowSeconds } })
    await api.push([{ queue: 'orders', transactionId: 'before' }])
    proxy.hold()
    const [late] = (await api.push([{ queue: 'orders', transactionId }])).body
    expect(late).toMatchObject({ status: 'buffered' })
    expect(proxy.held).toBeGreaterThan(0)
    const tables = await openTables(directUrl)
    await until('it is stored from the buffer', async () => (await tables.messagesIn('orders')) === 2)
    await until('pushes go the direct way', async () => {
      return (await api.push([{ queue: 'other' }])).body[0].status === 'queued'
    })
    proxy.release()
    await api.push([{ queue: 'orders', transactionId: 'after' }])
    // Whatever was delivered late has been answered, or its session is gone.
    await until('nothing runs', async () => {
      const rows = await tables.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()`,
      )
      return rows.length === 0
    })
    // On a busy machine the last one may have gone by way of the buffer.
    await until('all are stored', async () => (await tables.messagesIn('orders')) >= 3)
    const ids = (await api.pop('orders', { batch: 10 })).body.messages.map(
      (each: { transactionId: string }) => each.transactionId,
    )
    expect(ids).toEqual(['before', transactionId, 'after'])
  },
  60_000,
)
