/**
 * One statement on its way through a pg client.
 *
 * The first run of a named statement on a connection parses it; the first run anywhere also asks for the result's
 * columns. From then on a run is one write of Bind + Execute + Sync, and bytea columns come in binary.
 *
 * Invariant: it settles only after ReadyForQuery or an error, so a resolved statement is committed (or, inside a
 * transaction, executed). A statement without a name goes by the simple protocol and may hold several commands.
 */
import type pg from 'pg'
import { type Columns, columnsOf, readRow } from './columns.ts'
import { toWireValue, type WireValue } from './parameters.ts'
import type { RowMessage } from './wire.ts'

/** What the statements of one Database are known to answer, by statement name. A name stands for one text everywhere. */
export type KnownColumns = Map<string, { readonly text: string; readonly columns: Columns }>

interface WireConnection extends pg.Connection {
  readonly parsedStatements: Record<string, string>
}

const BIND = 66
const DESCRIBE_PORTAL = Buffer.from([68, 0, 0, 0, 6, 80, 0])
const EXECUTE_ALL = Buffer.from([69, 0, 0, 0, 9, 0, 0, 0, 0, 0])
const SYNC = Buffer.from([83, 0, 0, 0, 4])
const NO_FORMATS = new Uint8Array(0)

export class Statement {
  readonly name: string
  readonly text: string
  readonly rows: Record<string, unknown>[] = []
  /** Set by pg: called once with an error or with the statement itself. */
  readonly callback: (error: unknown) => void
  /** Whether any byte of it can have reached the server. */
  sent = false
  /** 'COMMIT', 'ROLLBACK', 'INSERT 0 1', … of the last command. */
  commandTag = ''
  readonly #values: readonly unknown[]
  readonly #known: KnownColumns
  #columns: Columns | null = null
  #described = false

  constructor(
    name: string,
    text: string,
    values: readonly unknown[],
    known: KnownColumns,
    callback: (error: unknown) => void,
  ) {
    this.name = name
    this.text = text
    this.callback = callback
    this.#values = values
    this.#known = known
  }

  submit(connection: WireConnection): Error | null {
    if (this.name === '') {
      this.sent = true
      connection.query(this.text)
      return null
    }
    try {
      this.#submitNamed(connection)
      return null
    } catch (error) {
      // A parameter that cannot be encoded: nothing was written yet.
      return error as Error
    }
  }

  #submitNamed(connection: WireConnection): void {
    const previous = connection.parsedStatements[this.name]
    const known = this.#known.get(this.name)
    // On another connection too: it would be sent with the columns of the other one.
    if ((previous ?? known?.text ?? this.text) !== this.text)
      throw new TypeError(`two statements share the name ${this.name}`)
    this.#columns = known?.columns ?? null
    const bind = bindMessage(this.name, this.#values.map(toWireValue), known?.columns.formats ?? NO_FORMATS)
    const { stream } = connection
    stream.cork()
    if (previous === undefined) stream.write(parseMessage(this.name, this.text))
    for (const part of bind) stream.write(part)
    if (known === undefined) {
      this.#described = true
      stream.write(DESCRIBE_PORTAL)
    }
    stream.write(EXECUTE_ALL)
    stream.write(SYNC)
    this.sent = true
    stream.uncork()
  }

  handleRowDescription(message: { fields: readonly { name: string; dataTypeID: number }[] }): void {
    this.#columns = columnsOf(message.fields, false)
    if (this.#described) this.#known.set(this.name, { text: this.text, columns: columnsOf(message.fields, true) })
    // A simple statement may hold several commands: only the last one's rows count.
    this.rows.length = 0
  }

  handleDataRow(message: RowMessage): void {
    this.rows.push(readRow(this.#columns!, message.bytes, message.at))
  }

  handleCommandComplete(message: { text: string }): void {
    this.commandTag = message.text
  }

  handleReadyForQuery(): void {
    this.callback(null)
  }

  handleError(error: unknown): void {
    this.callback(error)
  }

  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(connection: { sendCopyFail(message: string): void }): void {
    connection.sendCopyFail('COPY is not used here')
  }
  handleCopyData(): void {}
}

function parseMessage(name: string, text: string): Buffer {
  const nameBytes = Buffer.byteLength(name)
  const textBytes = Buffer.byteLength(text)
  const message = Buffer.allocUnsafe(1 + 4 + nameBytes + 1 + textBytes + 1 + 2)
  message[0] = 80 // 'P'
  message.writeInt32BE(message.length - 1, 1)
  let at = 5 + message.write(name, 5)
  message[at++] = 0
  at += message.write(text, at)
  message[at++] = 0
  message.writeInt16BE(0, at)
  return message
}

// Copying less costs less than one more piece for the system call to gather.
const OWN_PART_BYTES_MIN = 16 * 1024

/**
 * Bind of the unnamed portal, in pieces: a large value is one of its own, not copied, and must not change until it is
 * sent. An empty `formats` asks for text in every column.
 */
function bindMessage(name: string, values: readonly WireValue[], formats: Uint8Array): Uint8Array[] {
  const nameBytes = Buffer.byteLength(name)
  let bytes = 1 + 4 + 1 + nameBytes + 1 + 2 + 2 * values.length + 2 + 4 * values.length + 2 + 2 * formats.length
  let apart = 0
  const lengths = new Array<number>(values.length)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    const length = value === null ? -1 : typeof value === 'string' ? Buffer.byteLength(value) : value.length
    lengths[i] = length
    if (length > 0) bytes += length
    if (goesApart(value)) apart += length
  }
  const message = Buffer.allocUnsafe(bytes - apart)
  message[0] = BIND
  message.writeInt32BE(bytes - 1, 1)
  message[5] = 0
  let at = 6 + message.write(name, 6)
  message[at++] = 0
  at = message.writeUInt16BE(values.length, at)
  for (const value of values) at = message.writeInt16BE(value === null || typeof value === 'string' ? 0 : 1, at)
  at = message.writeUInt16BE(values.length, at)
  const parts: Uint8Array[] = []
  let partStart = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    at = message.writeInt32BE(lengths[i]!, at)
    if (value === null) continue
    if (goesApart(value)) {
      parts.push(message.subarray(partStart, at), value)
      partStart = at
      continue
    }
    if (typeof value === 'string') message.write(value, at)
    else message.set(value, at)
    at += lengths[i]!
  }
  at = message.writeUInt16BE(formats.length, at)
  for (const format of formats) at = message.writeInt16BE(format, at)
  parts.push(message.subarray(partStart))
  return parts
}

function goesApart(value: WireValue): value is Uint8Array {
  return value !== null && typeof value !== 'string' && value.length >= OWN_PART_BYTES_MIN
}
