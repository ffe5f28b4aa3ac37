/**
 * Column values as the store reads them: bytea as Buffer, bigint, numeric, uuid, times and ranges as text, small
 * integers and floats as numbers, json parsed, arrays of text-like types as arrays.
 *
 * bytea is asked for in binary as soon as a statement's columns are known; everything else stays text, because text is
 * what the callers want and it needs no table of binary formats that differ between PostgreSQL versions.
 */
import pg from 'pg'

const BOOL = 16
const BYTEA = 17
const INT2 = 21
const INT4 = 23
const OID = 26
const JSON_TEXT = 114
const FLOAT4 = 700
const FLOAT8 = 701
const JSONB = 3802

// Types whose elements pg parses into arrays of strings or numbers as we want them: bool, int2, int4, text, varchar,
// int8, float4, float8, numeric, uuid.
const ARRAYS = new Set([1000, 1005, 1007, 1009, 1015, 1016, 1021, 1022, 1231, 2951])

type Decode = (bytes: Buffer, start: number, end: number) => unknown

export interface Columns {
  readonly names: readonly string[]
  readonly decoders: readonly Decode[]
  /** Result formats for Bind once the columns are known: 1 = binary. */
  readonly formats: Uint8Array
}

interface FieldDescription {
  readonly name: string
  readonly dataTypeID: number
}

const text: Decode = (bytes, start, end) => bytes.toString('utf8', start, end)
const number: Decode = (bytes, start, end) => Number(bytes.toString('latin1', start, end))
const bool: Decode = (bytes, start) => bytes[start] === 116 // 't'
const json: Decode = (bytes, start, end) => JSON.parse(bytes.toString('utf8', start, end))
// Copied: the bytes belong to the parser.
const byteaBinary: Decode = (bytes, start, end) => Buffer.from(bytes.subarray(start, end))
const byteaHex: Decode = (bytes, start, end) => Buffer.from(bytes.toString('latin1', start + 2, end), 'hex')

function decoderOf(typeId: number, binary: boolean): Decode {
  switch (typeId) {
    case BYTEA:
      return binary ? byteaBinary : byteaHex
    case BOOL:
      return bool
    case INT2:
    case INT4:
    case OID:
    case FLOAT4:
    case FLOAT8:
      return number
    case JSON_TEXT:
    case JSONB:
      return json
    default: {
      if (!ARRAYS.has(typeId)) return text
      const parse = pg.types.getTypeParser(typeId, 'text') as (text: string) => unknown
      return (bytes, start, end) => parse(bytes.toString('utf8', start, end))
    }
  }
}

/** Columns of a result that arrives as text (`binary` false) or in the formats the columns themselves ask for. */
export function columnsOf(fields: readonly FieldDescription[], binary: boolean): Columns {
  return {
    names: fields.map((field) => field.name),
    decoders: fields.map((field) => decoderOf(field.dataTypeID, binary)),
    formats: Uint8Array.from(fields, (field) => (field.dataTypeID === BYTEA ? 1 : 0)),
  }
}

/** One row of a DataRow message, whose column count lies at `at`. */
export function readRow(columns: Columns, bytes: Buffer, at: number): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  const { names, decoders } = columns
  let position = at + 2
  for (let i = 0; i < names.length; i++) {
    const length = bytes.readInt32BE(position)
    position += 4
    if (length === -1) {
      row[names[i]!] = null
    } else {
      row[names[i]!] = decoders[i]!(bytes, position, position + length)
      position += length
    }
  }
  return row
}
