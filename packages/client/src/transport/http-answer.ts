/**
 * An HTTP/1.1 answer, read from the chunks a socket delivers, wherever they are cut. Pure.
 *
 *   head ─▶ length ───────────────▶ done
 *     ├───▶ size ─▶ chunk ─▶ size …▶ trailer ─▶ done
 *     └───▶ until the end of the connection ─▶ done
 *
 * Strict: what is no HTTP/1.1, or leaves open where the answer ends, is an error. The head is bounded, the body is not.
 */
const HEAD_BYTES_MAX = 64 * 1024
const LINE_BYTES_MAX = 4 * 1024
// Arguments of one call.
const TEXT_STEP = 4_096
const CR = 0x0d
const LF = 0x0a
const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: ([^\r\n]*))?$/
const HEADER_LINE = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\r\n]*?)[ \t]*$/
const DIGITS = /^\d{1,15}$/
const CHUNK_SIZE = /^([\da-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?$/

type State = 'head' | 'length' | 'size' | 'chunk' | 'trailer' | 'end' | 'done'

export class HttpAnswer {
  status = 0
  statusText = ''
  /** By name in lower case; several of one name joined with a comma. */
  headers: Record<string, string> = {}
  /** Of the body. */
  readonly chunks: Uint8Array[] = []
  /** Whether the connection may carry another request once this is complete. */
  reusable = false
  #state: State = 'head'
  #rest: Uint8Array | null = null
  #left = 0
  #http11 = false

  /** Nothing of it has arrived. */
  get untouched(): boolean {
    return this.status === 0 && this.#rest === null
  }

  /** Whether the answer is complete. @throws Error for what is no answer */
  read(chunk: Uint8Array): boolean {
    let data = this.#rest === null ? chunk : joined(this.#rest, chunk)
    this.#rest = null
    while (this.#state !== 'done') {
      const used = this.#step(data)
      if (used < 0) {
        if (data.length > 0) this.#rest = data
        return false
      }
      data = data.subarray(used)
    }
    // Bytes that nobody asked for.
    if (data.length > 0) this.reusable = false
    return true
  }

  /** The connection has ended in order: whether the answer is complete thereby. */
  end(): boolean {
    if (this.#state === 'end') this.#state = 'done'
    return this.#state === 'done'
  }

  /** How many bytes were used; -1 when more have to come. */
  #step(data: Uint8Array): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(data)
      case 'size':
        return this.#readSize(data)
      case 'chunk':
        // The line end behind a chunk counts with it.
        return this.#readBytes(data, 2, 'size')
      case 'trailer':
        return this.#readTrailer(data)
      case 'length':
        return this.#readBytes(data, 0, 'done')
      default:
        if (data.length === 0) return -1
        this.chunks.push(data)
        return data.length
    }
  }

  #readHead(data: Uint8Array): number {
    const end = headEnd(data)
    if (end > HEAD_BYTES_MAX || (end < 0 && data.length > HEAD_BYTES_MAX))
      throw new Error(`the head of the answer is larger than ${HEAD_BYTES_MAX} bytes`)
    if (end < 0) return -1
    const [first, ...lines] = textOf(data, end).split('\r\n')
    const status = STATUS_LINE.exec(first!)
    if (status === null) throw new Error('the answer is not HTTP/1.1')
    this.#http11 = status[1] === '1'
    this.status = Number(status[2])
    this.statusText = status[3] ?? ''
    this.headers = headersOf(lines)
    // "100 Continue" and the like come before the answer.
    if (this.status >= 200) this.#state = this.#bodyState()
    else if (this.status === 101) throw new Error('the answer wants another protocol')
    return end + 4
  }

  #bodyState(): State {
    const { connection = '', 'content-length': length, 'transfer-encoding': encoding } = this.headers
    const words = connection.toLowerCase().split(/[ \t]*,[ \t]*/)
    this.reusable = this.#http11 ? !words.includes('close') : words.includes('keep-alive')
    if (this.status === 204 || this.status === 304) return 'done'
    if (encoding !== undefined) {
      if (encoding.toLowerCase() !== 'chunked' || length !== undefined)
        throw new Error(`the answer has a body of unclear length (transfer-encoding: ${encoding})`)
      return 'size'
    }
    if (length === undefined) {
      this.reusable = false
      return 'end'
    }
    if (!DIGITS.test(length)) throw new Error(`the answer has a body of unclear length (content-length: ${length})`)
    this.#left = Number(length)
    return this.#left === 0 ? 'done' : 'length'
  }

  #readSize(data: Uint8Array): number {
    const end = lineEnd(data)
    if (end < 0) return -1
    const size = CHUNK_SIZE.exec(textOf(data, end))
    if (size === null) throw new Error('a chunk of the answer has no size')
    this.#left = Number.parseInt(size[1]!, 16)
    this.#state = this.#left === 0 ? 'trailer' : 'chunk'
    if (this.#left > 0) this.#left += 2
    return end + 2
  }

  /** Up to `#left` bytes, the last `extra` of which are no part of the body. */
  #readBytes(data: Uint8Array, extra: number, next: State): number {
    if (data.length === 0) return -1
    const used = Math.min(data.length, this.#left)
    const body = Math.min(used, Math.max(0, this.#left - extra))
    if (body > 0) this.chunks.push(body === data.length ? data : data.subarray(0, body))
    for (let at = body; at < used; at++) {
      if (data[at] !== (this.#left - at === 2 ? CR : LF))
        throw new Error('a chunk of the answer is longer than its size')
    }
    this.#left -= used
    if (this.#left === 0) this.#state = next
    return used
  }

  #readTrailer(data: Uint8Array): number {
    const end = lineEnd(data)
    if (end < 0) return -1
    if (end === 0) this.#state = 'done'
    return end + 2
  }
}

function headEnd(data: Uint8Array): number {
  for (let at = data.indexOf(CR); at >= 0; at = data.indexOf(CR, at + 1)) {
    if (data[at + 1] === LF && data[at + 2] === CR && data[at + 3] === LF) return at
  }
  return -1
}

/** What Node's sockets deliver. */
interface NodeBytes {
  latin1Slice?(from: number, to: number): string
}

/** Latin-1, as HTTP has it. */
function textOf(data: Uint8Array & NodeBytes, end: number): string {
  if (data.latin1Slice !== undefined) return data.latin1Slice(0, end)
  let text = ''
  for (let from = 0; from < end; from += TEXT_STEP)
    text += String.fromCharCode(...data.subarray(from, Math.min(end, from + TEXT_STEP)))
  return text
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

function lineEnd(data: Uint8Array): number {
  let end = data.indexOf(CR)
  if (end >= 0 && end + 1 < data.length && data[end + 1] !== LF) throw new Error('a chunk of the answer has no size')
  if (end + 1 >= data.length) end = -1
  if (end > LINE_BYTES_MAX || (end < 0 && data.length > LINE_BYTES_MAX))
    throw new Error('a chunk of the answer has no size')
  return end
}

function headersOf(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = Object.create(null)
  for (const line of lines) {
    const found = HEADER_LINE.exec(line)
    if (found === null) throw new Error('the answer has a malformed header')
    const name = found[1]!.toLowerCase()
    const before = headers[name]
    headers[name] = before === undefined ? found[2]! : `${before}, ${found[2]}`
  }
  return headers
}
