/**
 * Tells the broker what became of messages.
 *
 * Never rejects for what the network or the broker does: the result says it. Only misuse of the array form, the
 * caller's abort and a closed client reject.
 */
import type { ClientCore } from '../client-core.ts'
import { ITEMS_PER_REQUEST_MAX } from '../defaults.ts'
import { isQueenError } from '../errors/queen-error.ts'
import type { AckContext, AckItemResult, AckResult, AckStatus, MessageRef } from '../types/message.ts'
import { ackItemResult, ackResult, settleTarget, type WireAck, wireAck } from './ack-request.ts'

export async function ack(
  core: ClientCore,
  message: MessageRef | readonly MessageRef[],
  status: AckStatus = true,
  context: AckContext = {},
): Promise<AckResult> {
  core.lifecycle.assertAlive()
  context.signal?.throwIfAborted()
  const operation = 'Queen.ack'
  if (Array.isArray(message)) {
    const acks = (message as readonly MessageRef[]).map((one) => wireAck(one, status, context))
    if (acks.length === 0) return { success: true, processed: 0, results: [] }
    const results = await ackMany(core, acks, context.signal)
    return told(core, ackResult(results, { processed: results.length }))
  }
  let one: WireAck
  try {
    one = wireAck(message as MessageRef, status, context)
  } catch (error) {
    if (!isQueenError(error)) throw error
    core.log.error(operation, { error: error.message })
    return { success: false, error: error.message, code: error.code, results: [] }
  }
  const [result] = await tracked(core, [one], () => ackOne(core, one, context.signal))
  const { index: _index, results: _results, ...fields } = result as AckItemResult & { results?: unknown }
  return told(core, ackResult([result!], fields))
}

function told(core: ClientCore, result: AckResult): AckResult {
  if (!result.success) {
    const count = result.results.filter(({ success }) => !success).length
    core.emit({ type: 'ack-failed', count, error: result.error, code: result.code })
  }
  return result
}

/** One `POST /ack/batch` per group, in the order of the messages; results in that order too. */
export async function ackMany(
  core: ClientCore,
  acks: readonly WireAck[],
  signal: AbortSignal | undefined,
): Promise<AckItemResult[]> {
  const results = new Array<AckItemResult>(acks.length)
  const send = groupsOf(acks).map(async (indexes) => {
    const batch = indexes.map((index) => acks[index]!)
    const answers = await tracked(core, batch, () => ackBatch(core, batch, signal))
    for (const [k, index] of indexes.entries()) results[index] = { ...answers[k]!, index }
  })
  await Promise.all(send)
  return results
}

function groupsOf(acks: readonly WireAck[]): number[][] {
  const groups = new Map<string, number[]>()
  for (const [index, one] of acks.entries()) {
    const key = one.consumerGroup ?? ''
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [index])
    else group.push(index)
  }
  return [...groups.values()].flatMap((indexes) => {
    const slices: number[][] = []
    for (let from = 0; from < indexes.length; from += ITEMS_PER_REQUEST_MAX) {
      slices.push(indexes.slice(from, from + ITEMS_PER_REQUEST_MAX))
    }
    return slices
  })
}

/** Makes the verdicts known to whoever has these messages in hand. */
async function tracked(
  core: ClientCore,
  acks: readonly WireAck[],
  request: () => Promise<AckItemResult[]>,
): Promise<AckItemResult[]> {
  const running = request()
  for (const [k, one] of acks.entries()) {
    const accepted = running.then(
      (results) => results[k]?.success === true,
      () => false,
    )
    core.hands.settling(settleTarget(one), accepted)
  }
  return running
}

async function ackOne(core: ClientCore, one: WireAck, signal: AbortSignal | undefined): Promise<AckItemResult[]> {
  const body = await post(core, '/api/v1/ack', one, [one], signal)
  if (isFailure(body)) return [{ index: 0, transactionId: one.transactionId, ...body.failure }]
  return [ackItemResult(Array.isArray(body.answer) ? body.answer[0] : body.answer, 0, one.transactionId)]
}

async function ackBatch(
  core: ClientCore,
  acks: readonly WireAck[],
  signal: AbortSignal | undefined,
): Promise<AckItemResult[]> {
  const group = acks[0]!.consumerGroup
  const acknowledgments = acks.map(({ consumerGroup: _group, ...rest }) => rest)
  const request = group === undefined ? { acknowledgments } : { acknowledgments, consumerGroup: group }
  const body = await post(core, '/api/v1/ack/batch', request, acks, signal)
  return acks.map(({ transactionId }, index) => {
    if (isFailure(body)) return { index, transactionId, ...body.failure }
    const list = Array.isArray(body.answer) ? (body.answer as unknown[]) : []
    return ackItemResult(list[index], index, transactionId)
  })
}

interface Failure {
  failure: { success: false; error: string; code: string }
}

function isFailure(body: Failure | { answer: unknown }): body is Failure {
  return 'failure' in body
}

async function post(
  core: ClientCore,
  path: string,
  request: unknown,
  acks: readonly WireAck[],
  signal: AbortSignal | undefined,
): Promise<Failure | { answer: unknown }> {
  const operation = 'Queen.ack'
  try {
    const answer = await core.send({
      operation,
      method: 'POST',
      path,
      body: JSON.stringify(request),
      signal,
      destination: { type: 'settle', consumerGroup: acks[0]!.consumerGroup, messageCount: acks.length },
      messages: () => acks.map(({ transactionId }) => ({ transactionId })),
    })
    core.log.debug(operation, { count: acks.length, status: acks[0]!.status })
    return { answer: answer.body }
  } catch (error) {
    if (signal?.aborted || !isQueenError(error)) throw error
    core.log.error(operation, { count: acks.length, error: error.message, code: error.code })
    return { failure: { success: false, error: error.message, code: error.code } }
  }
}
