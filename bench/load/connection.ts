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
// Answers of a hundred messages have half of it.
const ANSWER_BYTES = 128 * 1024
const READ_BYTES_MIN = 16 * 1024

export class Connection {
  readonly #socket: Socket
  #onAnswer: OnAnswer | null = null
  #wantBody = false
  /** What has come of the answer so far, in memory that is used again and again. */
  #answer = Buffer.allocUnsafeSlow(ANSWER_BYTES)
  #bytes = 0
  #status = 0
  /** Where the body begins, 0 = the head has not ended yet; and where it ends. */
  #bodyAt = 0
  #end = 0
  #closed = false
  readonly #onError: (error: Error) => void

  private constructor(hostname: string, port: number, onError: (error: Error) => void) {
    this.#onError = onError
    this.#socket = connect({
      host: hostname,
      port,
      noDelay: true,
      onread: {
        buffer: () => this.#room(),
        callback: (bytes) => {
          this.#read(bytes)
          return true
        },
      },
    })
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error('the broker closed the connection')))
  }

  static async open(baseUrl: string, onError: (error: Error) => void): Promise<Connection> {
    const { hostname, port } = new URL(baseUrl)
    const connection = new Connection(hostname, Number(port), onError)
    await once(connection.#socket, 'connect')
    return connection
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

  #room(): Buffer {
    if (this.#answer.length - this.#bytes < READ_BYTES_MIN) {
      const larger = Buffer.allocUnsafeSlow(2 * this.#answer.length)
      this.#answer.copy(larger, 0, 0, this.#bytes)
      this.#answer = larger
    }
    return this.#answer.subarray(this.#bytes)
  }

  #read(bytes: number): void {
    this.#bytes += bytes
    if (this.#bodyAt === 0 && !this.#readHead()) return
    if (this.#bytes < this.#end) return
    if (this.#bytes > this.#end) {
      this.#fail(new Error('the answer is longer than its Content-Length'))
      return
    }
    this.#finish()
  }

  /** False when it has not ended yet. */
  #readHead(): boolean {
    const bytes = this.#answer
    const end = bytes.subarray(0, this.#bytes).indexOf(HEAD_END)
    if (end === -1) {
      if (this.#bytes > HEAD_BYTES_MAX) this.#fail(new Error('the answer has no end of its head'))
      return false
    }
    this.#status = (bytes[9]! - 48) * 100 + (bytes[10]! - 48) * 10 + (bytes[11]! - 48)
    const at = contentLengthAt(bytes, end)
    let bodyBytes = 0
    if (at !== -1) for (let i = at; i < end && bytes[i]! !== 13; i++) bodyBytes = bodyBytes * 10 + bytes[i]! - 48
    else if (this.#status !== 204) this.#fail(new Error(`an answer ${this.#status} without Content-Length`))
    this.#bodyAt = end + HEAD_END.length
    this.#end = this.#bodyAt + bodyBytes
    return true
  }

  #finish(): void {
    if (this.#closed) return
    const onAnswer = this.#onAnswer
    if (onAnswer === null) {
      this.#fail(new Error('an answer to no request'))
      return
    }
    const bodyAt = this.#bodyAt
    const end = this.#end
    this.#onAnswer = null
    this.#bodyAt = this.#bytes = 0
    onAnswer(this.#status, end - bodyAt, this.#wantBody ? this.#answer.subarray(bodyAt, end) : null)
  }
}

/** Where the number starts, or -1. Servers differ in the spelling of the name. */
function contentLengthAt(bytes: Buffer, end: number): number {
  const head = bytes.subarray(0, end)
  let at = head.indexOf(CONTENT_LENGTH)
  if (at === -1) at = head.indexOf('Content-Length: ')
  return at === -1 ? -1 : at + CONTENT_LENGTH.length
}
