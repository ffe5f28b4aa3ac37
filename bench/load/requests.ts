/** Requests as bytes. The heads are what a usual client sends; nothing in them changes from request to request. */

export function requestHead(method: string, path: string, bodyBytes: number | null): string {
  const length = bodyBytes === null ? '' : `Content-Type: application/json\r\nContent-Length: ${bodyBytes}\r\n`
  return `${method} ${path} HTTP/1.1\r\nHost: queen.bench\r\n${length}\r\n`
}

export function requestBytes(method: string, path: string, body: Buffer | null): Buffer {
  const head = Buffer.from(requestHead(method, path, body?.length ?? null))
  return body === null ? head : Buffer.concat([head, body])
}

export interface PopRequestOptions {
  readonly queue: string
  readonly batch: number
  readonly autoAck: boolean
  readonly timeoutMs: number
}

/** A consumer that waits: what every client library's consume loop sends. */
export function popRequest({ queue, batch, autoAck, timeoutMs }: PopRequestOptions): Buffer {
  const query = `batch=${batch}&wait=true&timeout=${timeoutMs}${autoAck ? '&autoAck=true' : ''}`
  return requestBytes('GET', `/api/v1/pop/queue/${queue}?${query}`, null)
}
