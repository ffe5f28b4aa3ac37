/** The overrides of a quarantine retry. The payload is kept as the bytes that came, so it is scanned for, not parsed. */
import { Refusal } from '../../engine/refusal.ts'
import { isBlank, reading, requireName } from './json-body.ts'
import type { JsonScanner } from './json-scanner.ts'

export interface QuarantineOverrides {
  readonly queue: string | null
  readonly partition: string | null
  readonly payload: Buffer | null
}

const NONE: QuarantineOverrides = { queue: null, partition: null, payload: null }

export function parseQuarantineBody(body: Buffer, payloadBytesMax: number): QuarantineOverrides {
  if (isBlank(body)) return NONE
  return reading(body, (scanner) => {
    let queue: string | null = null
    let partition: string | null = null
    let payload: Buffer | null = null
    if (scanner.enterObject()) {
      do {
        scanner.readKey()
        if (scanner.stringIs('queue')) queue = readName(scanner, 'queue')
        else if (scanner.stringIs('partition')) partition = readName(scanner, 'partition')
        else if (scanner.stringIs('payload')) payload = readPayload(scanner, payloadBytesMax)
        else scanner.skipValue()
      } while (scanner.nextMember())
    }
    scanner.expectEnd()
    return { queue, partition, payload }
  })
}

function readName(scanner: JsonScanner, field: string): string | null {
  const kind = scanner.kind()
  if (kind === 'string') {
    scanner.skipString()
    return requireName(scanner.stringValue(), field)
  }
  scanner.skipValue()
  if (kind === 'null') return null
  throw new Refusal('INVALID_BODY', `'${field}' must be a string or null`, { details: { field } })
}

function readPayload(scanner: JsonScanner, bytesMax: number): Buffer {
  scanner.peek()
  scanner.sawNulEscape = false
  const start = scanner.position
  scanner.skipValue()
  if (scanner.sawNulEscape)
    throw new Refusal('INVALID_PAYLOAD', 'The payload contains the escape \\u0000, which cannot be stored')
  if (scanner.position - start > bytesMax) {
    throw new Refusal('PAYLOAD_TOO_LARGE', `The payload is larger than ${bytesMax} bytes`)
  }
  return scanner.source.subarray(start, scanner.position)
}
