/**
 * What node's parser could not read as HTTP. The rest of the connection cannot be trusted: what is running on it is
 * answered, a request that breaks off there is refused, and then it is closed. A client that is merely too slow gets no
 * answer: the contract has no status for it.
 */
import type { Socket } from 'node:net'
import { ERRORS } from '@queen/protocol'
import { Connection } from './connection.ts'

export function rejectMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  const connection = Connection.of(socket)
  const tooSlow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  if (tooSlow || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  // Node says it again for whatever else the client sends.
  if (connection.broken) return
  connection.broken = true
  const { last } = connection.exchanges
  if (last !== undefined) last.breakOff()
  else if (socket.writable && !connection.readsRest) answer(error, socket)
  else socket.destroySoon()
}

function answer(error: NodeJS.ErrnoException, socket: Socket): void {
  const message =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'The request line and headers are too large'
      : 'The request is not valid HTTP/1.1'
  const body = JSON.stringify({ error: message, code: 'INVALID_PARAMETER' })
  socket.end(
    `HTTP/1.1 ${ERRORS.INVALID_PARAMETER.status} Bad Request\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Access-Control-Allow-Origin: *\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    // The client may go on sending for as long as it likes; nobody listens any more.
    () => socket.destroy(),
  )
}
