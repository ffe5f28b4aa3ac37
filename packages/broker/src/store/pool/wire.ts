/**
 * A pg connection whose row messages stay bytes.
 *
 * pg decodes every column to a string before anyone can object, which ruins binary columns and makes bytea cost two
 * bytes of hex for each of its own. Here a DataRow is handed on undecoded and the statement (statement.ts) reads
 * it in place, so a segment body travels as it is.
 *
 * Everything else (startup, authentication, TLS, errors) is pg's own code, untouched. Never keep a RowMessage: its
 * bytes belong to the parser and are overwritten by the next read.
 */
import type { Duplex } from 'node:stream'
import pg from 'pg'
import { Parser } from 'pg-protocol/dist/parser.js'

export interface RowMessage {
  readonly name: 'dataRow'
  length: number
  /** Column count (int16), then for each column its length (int32, -1 = null) and bytes, starting at `at`. */
  readonly bytes: Buffer
  readonly at: number
}

interface BackendMessage {
  readonly name: string
}

interface PacketParser {
  parse(chunk: Buffer, onMessage: (message: BackendMessage) => void): void
  handlePacket(at: number, code: number, length: number, bytes: Buffer): BackendMessage
}

const DATA_ROW = 68 // 'D'

// The method to replace is private to pg-protocol's types, which is also why its version is pinned exactly.
const PgParser = Parser as unknown as new () => PacketParser

class RawRowParser extends PgParser {
  override handlePacket(at: number, code: number, length: number, bytes: Buffer): BackendMessage {
    if (code !== DATA_ROW) return super.handlePacket(at, code, length, bytes)
    const row: RowMessage = { name: 'dataRow', length, bytes, at }
    return row
  }
}

const PgConnection = pg.Connection as unknown as new (config: object) => pg.Connection

export class RawRowConnection extends PgConnection {
  /** Called by pg once the stream (plain or TLS) is there. */
  attachListeners(stream: Duplex): void {
    const parser = new RawRowParser()
    const onMessage = (message: BackendMessage): void => {
      this.emit(message.name === 'error' ? 'errorMessage' : message.name, message)
    }
    stream.on('data', (chunk: Buffer) => parser.parse(chunk, onMessage))
  }
}
