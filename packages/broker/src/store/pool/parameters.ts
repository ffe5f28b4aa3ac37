/**
 * Statement parameters as PostgreSQL reads them.
 *
 *   null, undefined       NULL
 *   Buffer, Uint8Array    binary: bytea, or any type in its binary form
 *   array of the former   binary bytea[]
 *   other arrays          array literal, text
 *   Date                  ISO 8601
 *   other objects         JSON
 *   the rest              String(value)
 *
 * Invariant: a value reaches PostgreSQL beside the statement, never inside its text.
 */
const BYTEA_OID = 17

export type WireValue = string | Uint8Array | null

export function toWireValue(value: unknown): WireValue {
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'undefined':
      return null
    case 'object':
      if (value === null) return null
      if (value instanceof Uint8Array) return value
      if (Array.isArray(value)) return isByteaArray(value) ? byteaArray(value) : arrayLiteral(value)
      if (value instanceof Date) return value.toISOString()
      return JSON.stringify(value)
    default:
      throw new TypeError(`a ${typeof value} cannot be a statement parameter`)
  }
}

function isByteaArray(values: readonly unknown[]): values is readonly (Uint8Array | null)[] {
  const first = values.find((value) => value !== null)
  return first instanceof Uint8Array
}

/** PostgreSQL's binary form of a one-dimensional bytea[]: half the bytes of hex and no escaping on either side. */
function byteaArray(values: readonly (Uint8Array | null)[]): Buffer {
  let bytes = 20
  let hasNull = 0
  for (const value of values) {
    bytes += 4 + (value?.length ?? 0)
    if (value === null) hasNull = 1
  }
  const target = Buffer.allocUnsafe(bytes)
  target.writeInt32BE(1, 0)
  target.writeInt32BE(hasNull, 4)
  target.writeInt32BE(BYTEA_OID, 8)
  target.writeInt32BE(values.length, 12)
  target.writeInt32BE(1, 16)
  let at = 20
  for (const value of values) {
    if (value === null) {
      at = target.writeInt32BE(-1, at)
      continue
    }
    at = target.writeInt32BE(value.length, at)
    target.set(value, at)
    at += value.length
  }
  return target
}

function arrayLiteral(values: readonly unknown[]): string {
  let text = '{'
  for (let i = 0; i < values.length; i++) {
    if (i > 0) text += ','
    const value = values[i]
    if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') text += value
    else if (value === null || value === undefined) text += 'NULL'
    else if (typeof value === 'string') text += quoteElement(value)
    else if (Array.isArray(value)) text += arrayLiteral(value)
    else if (value instanceof Date) text += quoteElement(value.toISOString())
    else text += quoteElement(JSON.stringify(value))
  }
  return `${text}}`
}

function quoteElement(text: string): string {
  return /["\\]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : `"${text}"`
}
