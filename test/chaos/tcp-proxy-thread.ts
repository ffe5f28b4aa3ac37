/** The thread behind TcpProxy: says its port, then obeys orders. */
import { connect, createServer, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import type { ProxyOrder } from './tcp-proxy.ts'

const { port } = workerData as { port: number }
const pairs = new Set<readonly [Socket, Socket]>()
let refusing = false
let stalled = false

function pass(client: Socket): void {
  if (refusing) {
    client.destroy()
    return
  }
  const server = connect(port, '127.0.0.1')
  const pair = [client, server] as const
  pairs.add(pair)
  const end = (): void => {
    client.destroy()
    server.destroy()
    pairs.delete(pair)
  }
  for (const socket of pair) {
    socket.setNoDelay(true)
    socket.on('error', end)
    socket.on('close', end)
  }
  client.pipe(server)
  server.pipe(client)
  if (stalled) for (const socket of pair) socket.pause()
}

parentPort!.on('message', (order: ProxyOrder) => {
  refusing = order === 'cut'
  stalled = order === 'stall'
  for (const pair of pairs) {
    for (const socket of pair) {
      if (order === 'cut') socket.destroy()
      else if (order === 'stall') socket.pause()
      else socket.resume()
    }
  }
})

const server = createServer(pass)
server.listen(0, '127.0.0.1', () => {
  parentPort!.postMessage((server.address() as { port: number }).port)
})
