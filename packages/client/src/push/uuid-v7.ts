/**
 * UUID v7, monotonic inside the process: ids made later sort later, so pushes append to the broker's indexes.
 *
 * The 12 bits after the version are a counter inside the millisecond, started at random in its lower half; when it
 * overflows, the time part runs ahead of the clock. Random bytes are drawn in bulk: one call per id costs more than
 * everything else about a message.
 */
const POOL_BYTES = 4096
const TAIL_BYTES = 8
const COUNTER_MAX = 0xfff
const COUNTER_START_MASK = 0x7ff

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function createUuidV7(now: () => number = Date.now): () => string {
  const pool = new Uint8Array(POOL_BYTES)
  let used = POOL_BYTES
  let millis = -1
  let counter = 0
  return () => {
    if (used + TAIL_BYTES + 2 > POOL_BYTES) {
      crypto.getRandomValues(pool)
      used = 0
    }
    const clock = now()
    if (clock > millis) {
      millis = clock
      counter = ((pool[used++]! << 8) | pool[used++]!) & COUNTER_START_MASK
    } else if (++counter > COUNTER_MAX) {
      millis++
      counter = 0
    }
    const time = millis.toString(16).padStart(12, '0')
    const h = (offset: number) => HEX[pool[used + offset]!]!
    const variant = HEX[(pool[used]! & 0x3f) | 0x80]!
    const id =
      `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-` +
      `${variant}${h(1)}-${h(2)}${h(3)}${h(4)}${h(5)}${h(6)}${h(7)}`
    used += TAIL_BYTES
    return id
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
