/**
 * Tells the broker what became of messages.
 *
 * Never rejects for what the network or the broker does: the result says it. Only misuse of the array form, the
 * caller's abort and a closed client reject.
 */
import type { ClientCore } from '../client-core.ts'
import { ITEMS_PER_REQUEST_MAX } from '../defaults.ts'
import { isQueenError } from '../errors/queen-error.ts'
import { occurrences } from '../transport/occurrences.ts'
import { parse } from '../transport/one-request.ts'
import type { AckContext, AckItemResult, AckResult, AckStatus, MessageRef } from '../types/message.ts'
import { ackItemResult, ackResult, batchBody, settleTarget, type WireAck, wireAck } from './ack-request.ts'

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
    const acks = (message as readonly MessageRef[]).map((one) => wireAck(one, status, context, true))
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

/**
 * An ack of the client's own, for messages of one pop; null when all of it was accepted, which is nearly always so and
 * needs no result for each message.
 */
export async function settleHeld(
  core: ClientCore,
  messages: readonly MessageRef[],
  single: boolean,
  status: AckStatus,
  context: AckContext,
): Promise<AckResult | null> {
  const acks = messages.map((one) => wireAck(one, status, context))
  const lists = single
    ? [{ acks, answered: await post(core, '/api/v1/ack', JSON.stringify(acks[0]), acks, undefined, true) }]
    : await Promise.all(
        groupsOf(acks).map(async (indexes) => {
          const batch = indexes.length === acks.length ? acks : indexes.map((index) => acks[index]!)
          return { acks: batch, answered: await postBatch(core, batch, undefined, true) }
        }),
      )
  if (lists.every((list) => allAccepted(list.acks.length, list.answered))) return null
  const results = lists.flatMap((list) => ackResults(list.acks, read(core, list.answered)))
  return told(core, ackResult(results.map((result, index) => ({ ...result, index }))))
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
  const group = acks[0]?.consumerGroup
  // Nearly always: the messages of one pop.
  if (acks.length <= ITEMS_PER_REQUEST_MAX && acks.every(({ consumerGroup }) => consumerGroup === group)) {
    return acks.length === 0 ? [] : [[...acks.keys()]]
  }
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
  return ackResults([one], await postAck(core, one, signal))
}

async function ackBatch(
  core: ClientCore,
  acks: readonly WireAck[],
  signal: AbortSignal | undefined,
): Promise<AckItemResult[]> {
  return ackResults(acks, await postBatch(core, acks, signal))
}

async function postAck(core: ClientCore, one: WireAck, signal: AbortSignal | undefined): Promise<Answered> {
  return asList(await post(core, '/api/v1/ack', JSON.stringify(one), [one], signal))
}

/** The answer to one ack is its verdict alone. */
function asList(body: Answered): Answered {
  return isFailure(body) || Array.isArray(body.answer) ? body : { answer: [body.answer] }
}

/** All of them are of one group. */
function postBatch(
  core: ClientCore,
  acks: readonly WireAck[],
  signal: AbortSignal | undefined,
  asText = false,
): Promise<Answered> {
  return post(core, '/api/v1/ack/batch', batchBody(acks), acks, signal, asText)
}

function ackResults(acks: readonly WireAck[], answered: Answered): AckItemResult[] {
  const list = !isFailure(answered) && Array.isArray(answered.answer) ? (answered.answer as unknown[]) : []
  return acks.map(({ transactionId }, index) =>
    isFailure(answered)
      ? { index, transactionId, ...answered.failure }
      : ackItemResult(list[index], index, transactionId),
  )
}

/** Counts verdicts in the text of an answer: inside a JSON string quotes are escaped, so it finds nothing else. */
function allAccepted(count: number, answered: Answered): boolean {
  if (isFailure(answered)) return false
  return occurrences(String(answered.answer), ACCEPTED) === count
}

const ACCEPTED = '"success":true'

function read(core: ClientCore, answered: Answered): Answered {
  return isFailure(answered) ? answered : asList({ answer: parse(core.settings.json, String(answered.answer)) })
}

type Answered = Failure | { answer: unknown }

interface Failure {
  failure: { success: false; error: string; code: string }
}

function isFailure(body: Answered): body is Failure {
  return 'failure' in body
}

async function post(
  core: ClientCore,
  path: string,
  body: string,
  acks: readonly WireAck[],
  signal: AbortSignal | undefined,
  asText = false,
): Promise<Answered> {
  const operation = 'Queen.ack'
  try {
    const answer = await core.send({
      operation,
      method: 'POST',
      path,
      body,
      signal,
      asText,
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
