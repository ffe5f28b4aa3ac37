/** POST /api/v1/ack/batch for the messages of one pop answer, as the client libraries write it: every ack names its lease. */
import { UUID_LENGTH } from './message-number.ts'
import { readClaim } from './pop-answer.ts'
import { requestBytes } from './requests.ts'

export function ackRequest(popped: Buffer, idsAt: readonly number[]): Buffer {
  const { partitionId, leaseId } = readClaim(popped)
  const open = '{"transactionId":"'
  const tail = `","partitionId":"${partitionId}","leaseId":"${leaseId}","status":"completed"}`
  const between = Buffer.from(`${tail},${open}`)
  const head = `{"acknowledgments":[${open}`
  const end = `${tail}]}`
  const bytes = head.length + idsAt.length * UUID_LENGTH + (idsAt.length - 1) * between.length + end.length
  const body = Buffer.allocUnsafe(bytes)
  let at = body.write(head, 'latin1')
  idsAt.forEach((idAt, i) => {
    if (i > 0) at += between.copy(body, at)
    at += popped.copy(body, at, idAt, idAt + UUID_LENGTH)
  })
  body.write(end, at, 'latin1')
  return requestBytes('POST', '/api/v1/ack/batch', body)
}
