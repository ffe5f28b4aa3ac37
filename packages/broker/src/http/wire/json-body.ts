/**
 * The bodies of the cold routes: bytes → JSON → a value of the route's schema. The hot routes have readers of their own.
 * Names that break the rule for names are told apart from values of the wrong type.
 */
import { isUtf8 } from 'node:buffer'
import { isName, LIMITS } from '@queen/protocol'
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { Refusal } from '../../engine/refusal.ts'
import { JsonScanner, JsonSyntaxError, whyNotUtf8 } from './json-scanner.ts'
import { inOneGo, pause, SLICE_BYTES, type Steps } from './steps.ts'

/** The bytes as a JSON value. */
export function parseJson(body: Buffer): unknown {
  if (body.length === 0) throw new Refusal('BODY_REQUIRED')
  if (!isUtf8(body)) throw new Refusal('INVALID_JSON', `The request body is not valid JSON: ${whyNotUtf8(body)}`)
  try {
    return JSON.parse(body.toString())
  } catch {
    throw new Refusal('INVALID_JSON')
  }
}

/** The bytes as a JSON object; with `optional` no bytes are `{}`. */
export function parseJsonObject(body: Buffer, optional = false): Record<string, unknown> {
  if (optional && isBlank(body)) return {}
  const value = parseJson(body)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal('INVALID_BODY', 'The request body must be a JSON object')
  }
  return value as Record<string, unknown>
}

/** Scans a body that must be an object; `read` is called at its opening brace and must check it to its end. */
export function reading<T>(body: Buffer, read: (scanner: JsonScanner) => T): T {
  return inOneGo(
    // biome-ignore lint/correctness/useYield: it is read in one go.
    readingInSteps(body, function* (scanner) {
      return read(scanner)
    }),
  )
}

/** The same of a body that may be large: it stops at the end of each slice, where `read` lets it. */
export function* readingInSteps<T>(body: Buffer, read: (scanner: JsonScanner) => Steps<T>): Steps<T> {
  if (body.length === 0) throw new Refusal('BODY_REQUIRED')
  try {
    const scanner = new JsonScanner(body)
    if (scanner.kind() === 'object') return yield* read(scanner)
    scanner.pauseAt = SLICE_BYTES
    if (!scanner.skipValue()) yield* pause(scanner)
    scanner.expectEnd()
  } catch (error) {
    if (error instanceof JsonSyntaxError)
      throw new Refusal('INVALID_JSON', `The request body is not valid JSON: ${error.message}`)
    throw error
  }
  throw new Refusal('INVALID_BODY', 'The request body must be a JSON object')
}

/** A reader for bodies of one schema. Unknown fields are ignored. */
export function bodyReader<S extends TSchema>(schema: S, optional = false): (body: Buffer) => Static<S> {
  const validator = Compile(schema)
  return (body) => {
    const value = parseJsonObject(body, optional)
    if (validator.Check(value)) return value as Static<S>
    // The first error is the innermost; what follows repeats it for the schemas around it.
    const errors = validator.Errors(value)
    const [first] = errors
    if (first === undefined) throw new Refusal('INVALID_BODY')
    // Of a value that may be a name or a list of them the first error only says that it is the other.
    const error =
      errors.find(
        ({ instancePath, keyword }) => instancePath.startsWith(`${first.instancePath}/`) && keyword === 'minLength',
      ) ?? first
    if (error.keyword === 'required') {
      const field = String((error.params as { requiredProperties: string[] }).requiredProperties[0])
      throw new Refusal('INVALID_BODY', `'${field}' is missing`, { details: { field } })
    }
    const field = error.instancePath.slice(1).replaceAll('/', '.')
    // Of all texts only names have a shortest length, and no other has their longest.
    const { limit } = error.params as { limit?: number }
    if (error.keyword === 'minLength' || (error.keyword === 'maxLength' && limit === LIMITS.nameCodePointsMax)) {
      throw invalidName(field)
    }
    throw new Refusal('INVALID_BODY', `'${field}' ${error.message}`, { details: { field } })
  }
}

/** Throws INVALID_NAME unless the value may be a name. */
export function requireName(name: string, field: string): string {
  if (!isName(name)) throw invalidName(field)
  return name
}

export function invalidName(field: string): Refusal {
  return new Refusal('INVALID_NAME', `'${field}' must have 1 to 255 characters and no control characters`, {
    details: { field },
  })
}

export function isBlank(body: Buffer): boolean {
  return body.every((byte) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)
}
