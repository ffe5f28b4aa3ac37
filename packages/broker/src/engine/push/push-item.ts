/**
 * One pushed message: what the request or a buffered record said, then what became of it. Made by whoever read it, finished
 * by the engine.
 *
 * Its ids stay what they are, bytes beside the payload and a place in a segment, until somebody wants to read them: most
 * pushes are stored and answered without, and texts would be copied at every collection while the push is on its way.
 */
import type { ItemErrorCode } from '@queen/protocol'
import { messageIdAt } from '../format/message-id.ts'
import type { PushStatus } from '../types.ts'
import type { PushTicket } from './push-tickets.ts'

export interface PushFailure {
  readonly code: ItemErrorCode
  readonly error: string
  /** It may be stored all the same: a flush that carried it was never answered, and the buffer did not take it. */
  readonly outcomeUnknown: boolean
}

export class PushItem {
  readonly queue: string
  readonly partition: string
  /** Lower-case UUID or null. */
  readonly traceId: string | null
  readonly producerSub: string | null
  /** The payload: bytes [payloadStart, payloadEnd) of `source`; JSON text, or ciphertext once `encrypted`. */
  source: Buffer
  payloadStart: number
  payloadEnd: number
  /**
   * Where the transactionId lies in `source`, as UTF-8; -1 = it does not lie there. In a request it lies between its quotes
   * and is printable ASCII without an escape: JSON as it stands.
   */
  idStart: number
  readonly idEnd: number
  encrypted = false
  /** The transactionId was made by the server. */
  generatedId = false
  /** When a file buffer accepted it, microseconds since 1970; null for a live push. */
  acceptedAtMicros: number | null = null
  /** PostgreSQL said that no message below this offset has this id although the instance's memory of keys thinks so; 0 = not asked. */
  innocentBelow = 0

  /** The request it is answered with, while it is in a lane. */
  ticket: PushTicket | null = null

  status: PushStatus | null = null
  /** Its message id: the first id of the segment it is in and its place there; of a duplicate the first message's id and 0. */
  idBase: string | null = null
  idIndex = 0
  partitionId: string | null = null
  /** Why it ended `failed`. */
  failure: PushFailure | null = null
  #text: string | null

  /** `transactionId`: '' = to be made by the server; null = it lies in `source`. */
  constructor(
    queue: string,
    partition: string,
    transactionId: string | null,
    traceId: string | null,
    producerSub: string | null,
    source: Buffer,
    payloadStart: number,
    payloadEnd: number,
    idStart = -1,
    idEnd = -1,
  ) {
    this.queue = queue
    this.partition = partition
    this.#text = transactionId
    this.traceId = traceId
    this.producerSub = producerSub
    this.source = source
    this.payloadStart = payloadStart
    this.payloadEnd = payloadEnd
    this.idStart = idStart
    this.idEnd = idEnd
  }

  /** '' = to be made by the server; after the push the id in force. */
  get transactionId(): string {
    this.#text ??= this.source.utf8Slice(this.idStart, this.idEnd)
    return this.#text
  }

  /** Gives it a transactionId that the server has made. */
  nameIt(transactionId: string): void {
    this.#text = transactionId
    this.generatedId = true
  }

  /** Whether it has a transactionId, without making a text of it. */
  get isNamed(): boolean {
    return this.#text !== ''
  }

  get messageId(): string | null {
    return this.idBase === null ? null : messageIdAt(this.idBase, this.idIndex)
  }

  fail(code: ItemErrorCode, error: string, outcomeUnknown = false): void {
    this.status = 'failed'
    this.failure = { code, error, outcomeUnknown }
  }

  /** Takes what the payload is when it is encrypted, or is not any more. */
  replacePayload(payload: Buffer, encrypted: boolean): void {
    // The id does not lie beside the new one.
    this.#text = this.transactionId
    this.idStart = -1
    this.source = payload
    this.payloadStart = 0
    this.payloadEnd = payload.length
    this.encrypted = encrypted
  }
}
