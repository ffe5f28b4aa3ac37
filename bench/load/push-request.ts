/**
 * A push request that is built once and patched in place: before each sending every item gets a new transactionId and
 * all of them the next partition. Payloads are JSON of an exact size whose text is random, so that compression gains
 * neither more nor less than it would on real data.
 */
import { randomBytes } from 'node:crypto'
import { timeDigits, UUID_LENGTH, writeMessageId } from './message-number.ts'
import { requestBytes } from './requests.ts'

export interface PushShape {
  readonly queue: string
  readonly batch: number
  readonly payloadBytes: number
  /** At most 10,000: names are p0000, p0001 … */
  readonly partitions: number
  /** Whether the client makes the transactionIds, as all client libraries do. */
  readonly withIds: boolean
  /** Consecutive items go to consecutive partitions instead of all to one. */
  readonly spread?: boolean
  /** When given, request after request goes to another of so many queues: <queue>-0000, <queue>-0001 … */
  readonly queues?: number
}

const DIGITS = 4
const PLACES = Array.from({ length: 10 ** DIGITS }, (_, n) => Buffer.from(String(n).padStart(DIGITS, '0')))
const NO_ID = 'x'.repeat(UUID_LENGTH)

export class PushRequest {
  readonly shape: PushShape
  readonly bytes: Buffer
  readonly #idsAt: number[] = []
  readonly #partitionsAt: number[] = []
  readonly #queuesAt: number[] = []
  #time = timeDigits(0)
  #timeMs = 0

  constructor(shape: PushShape) {
    this.shape = shape
    const id = shape.withIds ? `,"transactionId":"${NO_ID}"` : ''
    const queue = shape.queues === undefined ? shape.queue : `${shape.queue}-XXXX`
    const items = Array.from(
      { length: shape.batch },
      () => `{"queue":"${queue}","partition":"pXXXX"${id},"payload":${payload(shape.payloadBytes)}}`,
    )
    this.bytes = requestBytes('POST', '/api/v1/push', Buffer.from(`{"items":[${items.join(',')}]}`))
    for (let item = 0, from = 0; item < shape.batch; item++) {
      if (shape.queues !== undefined) {
        from = this.bytes.indexOf('-XXXX","partition"', from) + 1
        this.#queuesAt.push(from)
      }
      from = this.bytes.indexOf('"partition":"pXXXX"', from) + '"partition":"p'.length
      this.#partitionsAt.push(from)
      if (shape.withIds) {
        from = this.bytes.indexOf(NO_ID, from)
        this.#idsAt.push(from)
      }
    }
  }

  /** The bytes of the next request: items `number`, `number` + 1 … of the run, to the `place`th partition (and on, when spread). */
  next(number: number, place: number, nowMs: number): Buffer {
    const { bytes, shape } = this
    if (nowMs !== this.#timeMs) {
      this.#timeMs = nowMs
      this.#time = timeDigits(nowMs)
    }
    let partition = place % shape.partitions
    for (const at of this.#partitionsAt) {
      writePlace(bytes, at, partition)
      if (shape.spread) partition = (partition + 1) % shape.partitions
    }
    for (const at of this.#queuesAt) writePlace(bytes, at, place % shape.queues!)
    for (const at of this.#idsAt) writeMessageId(bytes, at, number++, this.#time)
    return bytes
  }
}

function writePlace(bytes: Buffer, at: number, place: number): void {
  const digits = PLACES[place]!
  for (let i = 0; i < DIGITS; i++) bytes[at + i] = digits[i]!
}

/** JSON text of exactly `bytes` bytes. */
function payload(bytes: number): string {
  const head = '{"kind":"order.created","total":4999,"note":"'
  const text = randomBytes(bytes)
    .toString('base64')
    .slice(0, Math.max(0, bytes - head.length - 2))
  return `${head}${text}"}`
}
