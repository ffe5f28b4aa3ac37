/**
 * How the sessions of an instance name themselves in PostgreSQL. By this name an instance ends sessions that it gave up, and
 * status tells whose session is in the way: no two instances may go by the same.
 */
import { createHash } from 'node:crypto'

// PostgreSQL cuts longer names off, and what tells instance ids apart is mostly at their end.
const NAME_CHARS_MAX = 63
const DIGEST_CHARS = 16

export function sessionName(instanceId: string): string {
  const name = `queen ${instanceId}`
  if (name.length <= NAME_CHARS_MAX) return name
  const digest = createHash('sha256').update(instanceId).digest('hex').slice(0, DIGEST_CHARS)
  return `${name.slice(0, NAME_CHARS_MAX - DIGEST_CHARS - 1)}~${digest}`
}
