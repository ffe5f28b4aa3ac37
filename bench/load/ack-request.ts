/** POST /api/v1/ack/batch for the messages of one pop answer, as the client libraries write it: every ack names its lease. */
import { UUID_LENGTH } from './message-number.ts'
import { readClaim } from './pop-answer.ts'
import { requestHead } from './requests.ts'

const OPEN = '{"transactionId":"'
const HEAD = `{"acknowledgments":[${OPEN}`

/** The requests of one consumer, one after the other in the same memory: each is valid until the next is made. */
export class AckRequest {
  #bytes = Buffer.allocUnsafeSlow(1024)

  of(popped: Buffer, idsAt: readonly number[]): Buffer {
    const { partitionId, leaseId } = readClaim(popped)
    const tail = `","partitionId":"${partitionId}","leaseId":"${leaseId}","status":"completed"}`
    const between = `${tail},${OPEN}`
    const end = `${tail}]}`
    const bodyBytes = HEAD.length + idsAt.length * UUID_LENGTH + (idsAt.length - 1) * between.length + end.length
    const head = requestHead('POST', '/api/v1/ack/batch', bodyBytes) + HEAD
    const bytes = head.length - HEAD.length + bodyBytes
    if (this.#bytes.length < bytes) this.#bytes = Buffer.allocUnsafeSlow(2 * bytes)
    const target = this.#bytes
    let at = target.latin1Write(head, 0)
    const period = UUID_LENGTH + between.length
    // The text between two ids is written once and copied.
    for (let i = 0; i < idsAt.length; i++) {
      popped.copy(target, at, idsAt[i]!, idsAt[i]! + UUID_LENGTH)
      if (i === idsAt.length - 1) at += UUID_LENGTH
      else if (i === 0) at += UUID_LENGTH + target.latin1Write(between, at + UUID_LENGTH)
      else {
        target.copyWithin(at + UUID_LENGTH, at - between.length, at)
        at += period
      }
    }
    at += target.latin1Write(end, at)
    return target.subarray(0, at)
  }
}
