/**
 * UUID v7, monotonic inside the process: ids made later sort later, so pushes append to the broker's indexes.
 *
 * Random bits are drawn once a millisecond; inside it the last 32 bits count up from a random start. Drawing fresh
 * bytes for each id would cost more than everything else about a message. When the count overflows or the clock goes
 * back, the time part stays or runs ahead of the clock.
 */
const RANDOM_BYTES = 12
/** The count starts in the lower half, so there is room for two thousand million ids in a millisecond. */
const START_MASK = 0x7fffffff
const COUNT_MAX = 0xffffffff

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function createUuidV7(now: () => number = Date.now): () => string {
  const random = new Uint8Array(RANDOM_BYTES)
  let millis = -1
  let prefix = ''
  let count = 0

  const begin = (at: number): void => {
    crypto.getRandomValues(random)
    millis = at
    const time = at.toString(16).padStart(12, '0')
    const [a, b, c, d, e, f, ...start] = random as unknown as number[]
    const version = `7${HEX[a!]}${HEX[b!]![0]}`
    const variant = HEX[(c! & 0x3f) | 0x80]! + HEX[d!]
    prefix = `${time.slice(0, 8)}-${time.slice(8)}-${version}-${variant}-${HEX[e!]}${HEX[f!]}`
    count = start.reduce((sum, byte) => (sum << 8) | byte, 0) & START_MASK
  }

  return () => {
    const at = now()
    if (at > millis) begin(at)
    else if (++count > COUNT_MAX) begin(millis + 1)
    return prefix + HEX[count >>> 24] + HEX[(count >>> 16) & 255] + HEX[(count >>> 8) & 255] + HEX[count & 255]
  }
}

/** The process's one source of ids: monotonic over all clients. */
let source: (() => string) | null = null

export function uuidV7(): string {
  source ??= createUuidV7()
  return source()
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value)
}
