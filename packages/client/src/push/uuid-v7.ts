/**
 * UUID v7, monotonic inside the process: ids made later sort later, so pushes append to the broker's indexes.
 *
 * Random bits are used once a millisecond; inside it the last 32 bits count up from a random start. Fresh bytes for each
 * id would cost more than everything else about a message, and so would asking the system every millisecond: they are
 * drawn for many milliseconds at once. When the count overflows or the clock goes back, the time part stays or runs
 * ahead of the clock.
 */
const RANDOM_BYTES = 12
const DRAWN_AT_ONCE = 64
/** The count starts in the lower half, so there is room for two thousand million ids in a millisecond. */
const START_MASK = 0x7fffffff
const COUNT_MAX = 0xffffffff

const hexDigits = (digits: number) =>
  Array.from({ length: 16 ** digits }, (_, number) => number.toString(16).padStart(digits, '0'))
const HEX = /* @__PURE__ */ hexDigits(2)
/** The digits that change from id to id; those before them are joined once for so many ids. */
const LAST = /* @__PURE__ */ hexDigits(3)

export function createUuidV7(now: () => number = Date.now): () => string {
  const random = new Uint8Array(RANDOM_BYTES * DRAWN_AT_ONCE)
  let used = random.length
  let millis = -1
  let prefix = ''
  let count = 0
  /** What comes before the last three digits, and the part of the count that is in it. */
  let head = ''
  let headCount = -1

  const begin = (at: number): void => {
    if (used === random.length) {
      crypto.getRandomValues(random)
      used = 0
    }
    const [a, b, c, d, e, f, ...start] = random.subarray(used, used + RANDOM_BYTES) as unknown as number[]
    used += RANDOM_BYTES
    millis = at
    const time = at.toString(16).padStart(12, '0')
    const version = `7${HEX[a!]}${HEX[b!]![0]}`
    const variant = HEX[(c! & 0x3f) | 0x80]! + HEX[d!]
    prefix = `${time.slice(0, 8)}-${time.slice(8)}-${version}-${variant}-${HEX[e!]}${HEX[f!]}`
    count = start.reduce((sum, byte) => (sum << 8) | byte, 0) & START_MASK
    headCount = -1
  }

  return () => {
    const at = now()
    if (at > millis) begin(at)
    else if (++count > COUNT_MAX) begin(millis + 1)
    const upper = Math.floor(count / LAST.length)
    if (upper !== headCount) {
      head = prefix + upper.toString(16).padStart(5, '0')
      headCount = upper
    }
    return head + LAST[count % LAST.length]
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
