/** The thread behind TcpProxy: says its port, then obeys orders. */
import { connect, createServer, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import type { ProxyOrder } from './tcp-proxy.ts'

interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** Bytes of it were lost: it can never work again, and nobody says so. */
  swallowed: boolean
  /** It has asked for notifications. */
  listens: boolean
  /** What the client sent into a stall: under way, whatever becomes of the client. */
  readonly held: Buffer[]
}

/** How long a server waits for a client that has lost its way, as its keepalive would have it. */
const SERVER_PATIENCE_MS = 5_000

/** As much as the buffers of a socket may hold; the client of more has to wait. */
const HELD_BYTES_MAX = 1 << 20

const { port } = workerData as { port: number }
const pairs = new Set<Pair>()
let order: ProxyOrder = 'heal'

function pass(client: Socket): void {
  if (order === 'cut') {
    client.destroy()
    return
  }
  const server = connect(port, '127.0.0.1')
  const pair: Pair = { client, server, swallowed: order === 'swallow', listens: false, held: [] }
  pairs.add(pair)
  const end = (): void => {
    client.destroy()
    server.destroy()
    pairs.delete(pair)
  }
  const lose = (): void => {
    client.destroy()
    // The other end hears nothing of it, or not before it has had what was sent first.
    if (!pair.swallowed && order !== 'stall') server.destroy()
  }
  server.on('close', () => {
    // Nor does the client when it was cut off from its server.
    if (!pair.swallowed) end()
  })
  client.on('close', lose)
  client.on('error', lose)
  server.on('error', () => server.destroy())
  client.setNoDelay(true)
  server.setNoDelay(true)
  client.on('data', (bytes: Buffer) => {
    if (bytes.includes('LISTEN "')) pair.listens = true
    if (order === 'deafen' && pair.listens) server.pause()
    if (order === 'stall') hold(pair, bytes)
    else forward(pair, client, server, bytes)
  })
  server.on('data', (bytes) => forward(pair, server, client, bytes))
  if (order === 'stall') server.pause()
}

function forward(pair: Pair, from: Socket, to: Socket, bytes: Buffer | string): void {
  if (pair.swallowed || to.destroyed) return
  if (to.write(bytes)) return
  from.pause()
  to.once('drain', () => {
    const held = order === 'stall' || (order === 'deafen' && pair.listens && from === pair.server)
    if (!held) from.resume()
  })
}

function hold({ client, held }: Pair, bytes: Buffer): void {
  held.push(bytes)
  if (held.reduce((sum, { length }) => sum + length, 0) >= HELD_BYTES_MAX) client.pause()
}

function deliver(pair: Pair): void {
  const { client, server, held } = pair
  for (const bytes of held.splice(0)) forward(pair, client, server, bytes)
  if (client.destroyed) server.end()
  else client.resume()
  server.resume()
}

parentPort!.on('message', (next: ProxyOrder) => {
  order = next
  for (const pair of pairs) {
    if (order === 'cut') {
      pair.client.destroy()
      pair.server.destroy()
      pairs.delete(pair)
    } else if (order === 'stall') pair.server.pause()
    else if (order === 'swallow') pair.swallowed = true
    else if (order === 'deafen') {
      if (pair.listens) pair.server.pause()
    } else if (pair.swallowed) {
      setTimeout(() => {
        pair.server.destroy()
        if (pair.client.destroyed) pairs.delete(pair)
      }, SERVER_PATIENCE_MS)
    } else deliver(pair)
  }
})

const server = createServer(pass)
server.listen(0, '127.0.0.1', () => {
  parentPort!.postMessage((server.address() as { port: number }).port)
})
