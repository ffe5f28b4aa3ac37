/**
 * One keep-alive HTTP connection that sends ready-made bytes and frames the answers by their Content-Length.
 *
 * It exists because the load shares its cores with what it measures: a general HTTP client costs more than the broker.
 * One request at a time; the answer's status and body length are always known, its bytes only when asked for.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** `body` is null unless the request asked for it; it is valid only during the call. */
export type OnAnswer = (status: number, bodyBytes: number, body: Buffer | null) => void

const HEAD_END = Buffer.from('\r\n\r\n')
const CONTENT_LENGTH = Buffer.from('content-length: ')
// A broker's head is about 300 bytes; more means that this is not an answer.
const HEAD_BYTES_MAX = 16 * 1024

export class Connection {
  readonly #socket: Socket
  #onAnswer: OnAnswer | null = null
  #wantBody = false
  /** Bytes of a head that has not ended yet. */
  #head: Buffer | null = null
  #status = 0
  #bodyBytes = 0
  /** Bytes of the body still to come; -1 = in the head. */
  #missingBytes = -1
  #pieces: Buffer[] = []
  #closed = false
  readonly #onError: (error: Error) => void

  private constructor(socket: Socket, onError: (error: Error) => void) {
    this.#socket = socket
    this.#onError = onError
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the broker closed the connection')))
  }

  static async open(baseUrl: string, onError: (error: Error) => void): Promise<Connection> {
    const { hostname, port } = new URL(baseUrl)
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    return new Connection(socket, onError)
  }

  send(request: Buffer, wantBody: boolean, onAnswer: OnAnswer): void {
    if (this.#onAnswer !== null) throw new Error('a request is already on its way')
    this.#onAnswer = onAnswer
    this.#wantBody = wantBody
    this.#socket.write(request)
  }

  close(): void {
    this.#closed = true
    this.#socket.destroy()
  }

  #fail(error: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.destroy()
    this.#onError(error)
  }

  #read(chunk: Buffer): void {
    if (this.#missingBytes === -1) {
      const bytes = this.#head === null ? chunk : Buffer.concat([this.#head, chunk])
      const end = bytes.indexOf(HEAD_END)
      if (end === -1) {
        this.#head = bytes
        if (bytes.length > HEAD_BYTES_MAX) this.#fail(new Error('the answer has no end of its head'))
        return
      }
      this.#head = null
      this.#readHead(bytes, end)
      const bodyStart = end + HEAD_END.length
      // The usual case: the answer came in one piece and nothing is copied.
      if (bytes.length - bodyStart === this.#bodyBytes) {
        this.#missingBytes = -1
        this.#finish(this.#wantBody ? bytes.subarray(bodyStart) : null)
        return
      }
      this.#missingBytes = this.#bodyBytes
      this.#readBody(bytes.subarray(bodyStart))
    } else {
      this.#readBody(chunk)
    }
  }

  #readHead(bytes: Buffer, end: number): void {
    this.#status = (bytes[9]! - 48) * 100 + (bytes[10]! - 48) * 10 + (bytes[11]! - 48)
    const at = contentLengthAt(bytes, end)
    this.#bodyBytes = 0
    if (at === -1) {
      if (this.#status !== 204) this.#fail(new Error(`an answer ${this.#status} without Content-Length`))
      return
    }
    for (let i = at; i < end && bytes[i]! !== 13; i++) this.#bodyBytes = this.#bodyBytes * 10 + bytes[i]! - 48
  }

  #readBody(piece: Buffer): void {
    this.#missingBytes -= piece.length
    if (this.#missingBytes < 0) {
      this.#fail(new Error('the answer is longer than its Content-Length'))
      return
    }
    if (this.#wantBody) this.#pieces.push(piece)
    if (this.#missingBytes > 0) return
    const body = this.#wantBody ? Buffer.concat(this.#pieces) : null
    this.#pieces = []
    this.#missingBytes = -1
    this.#finish(body)
  }

  #finish(body: Buffer | null): void {
    if (this.#closed) return
    const onAnswer = this.#onAnswer
    if (onAnswer === null) {
      this.#fail(new Error('an answer to no request'))
      return
    }
    this.#onAnswer = null
    onAnswer(this.#status, this.#bodyBytes, body)
  }
}

/** Where the number starts, or -1. Servers differ in the spelling of the name. */
function contentLengthAt(bytes: Buffer, end: number): number {
  let at = bytes.indexOf(CONTENT_LENGTH)
  if (at === -1 || at > end) at = bytes.indexOf('Content-Length: ')
  return at === -1 || at > end ? -1 : at + CONTENT_LENGTH.length
}
