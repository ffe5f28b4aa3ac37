/**
 * What node's parser could not read as HTTP. The rest of the connection cannot be trusted, so it is answered once, if
 * nothing else is being answered on it, and closed. A client that is merely too slow gets no answer: the contract has
 * no status for it.
 */
import type { Socket } from 'node:net'
import { ERRORS } from '@queen/protocol'
import { Connection } from './connection.ts'

export function rejectMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  const tooSlow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  if (tooSlow || error.code === 'ECONNRESET' || !socket.writable || Connection.of(socket).exchanges.size > 0) {
    socket.destroy()
    return
  }
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
