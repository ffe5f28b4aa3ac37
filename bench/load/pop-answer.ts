/**
 * Reads from the bytes of a pop answer what a consumer needs to ack it: transactionIds, partition, lease. Answers of one
 * run are alike, so the next id is mostly found at the distance of the last; where it is not, it is searched for.
 */

const TRANSACTION_ID = Buffer.from('"transactionId":"')
const PARTITION_ID = Buffer.from('"partitionId":"')
const LEASE_ID = Buffer.from('"leaseId":"')
const QUOTE = 0x22

/** Start of every transactionId in `body`; the array is filled anew at each call. */
export function findTransactionIds(body: Buffer, into: number[]): void {
  into.length = 0
  const head = TRANSACTION_ID.readUInt32LE(1)
  const tail = TRANSACTION_ID.readUInt32LE(TRANSACTION_ID.length - 4)
  let at = body.indexOf(TRANSACTION_ID)
  let stride = 0
  while (at !== -1) {
    into.push(at + TRANSACTION_ID.length)
    const guess = at + stride
    if (
      stride > 0 &&
      guess + TRANSACTION_ID.length < body.length &&
      body.readUInt32LE(guess + 1) === head &&
      body.readUInt32LE(guess + TRANSACTION_ID.length - 4) === tail
    ) {
      at = guess
      continue
    }
    const next = body.indexOf(TRANSACTION_ID, at + TRANSACTION_ID.length)
    stride = next - at
    at = next
  }
}

/** The claim's head: with partitions=1 all messages of an answer are of one partition and under one lease. */
export function readClaim(body: Buffer): { partitionId: string; leaseId: string } {
  return { partitionId: textAfter(body, PARTITION_ID), leaseId: textAfter(body, LEASE_ID) }
}

function textAfter(body: Buffer, name: Buffer): string {
  const start = body.indexOf(name)
  if (start === -1) throw new Error(`the answer has no ${name.toString()}`)
  const from = start + name.length
  return body.toString('latin1', from, body.indexOf(QUOTE, from))
}
