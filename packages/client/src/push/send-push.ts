/** `POST /push` of prepared items, and the verdict on each. */
import type { ClientCore } from '../client-core.ts'
import { QueenError } from '../errors/queen-error.ts'
import type { JsonCodec } from '../options.ts'
import type { FinalAnswer } from '../transport/call.ts'
import { parse } from '../transport/one-request.ts'
import type { PushedItem, PushResults } from '../types/push.ts'
import type { PreparedItem } from './prepare.ts'
import { allStored, pushError, readResults, resultsOfError } from './results.ts'

export interface PushVerdict {
  readonly results: PushResults
  readonly attempts: number
  /** Set when some items were refused: what a push without `onError` rejects with. */
  readonly error: QueenError | null
}

/** What is sent, and whose verdict it is. */
export interface SentTexts {
  /** null: of several queues. */
  readonly queue: string | null
  /** Items as they go over the wire, each text one or several of them. */
  readonly texts: readonly string[]
  readonly isAscii: boolean
  readonly count: number
  /** Made only when somebody asks for them. */
  readonly items: () => readonly Omit<PushedItem, 'payload'>[]
}

/** Rejects when there is no verdict: the broker was not reached, or refused the request as such. */
export async function sendPush(
  core: Pick<ClientCore, 'send'>,
  operation: string,
  prepared: readonly PreparedItem[],
  signal?: AbortSignal,
): Promise<PushVerdict> {
  const items = prepared.map(({ item }) => item)
  try {
    const { body, attempts } = await post(core, operation, sentTexts(prepared, items), signal)
    const results = readResults(items, body)
    return { results, attempts, error: results.counts.failed > 0 ? pushError(results) : null }
  } catch (error) {
    const results = resultsOfError(items, error)
    if (results === null || !(error instanceof QueenError)) throw error
    return { results, attempts: error.attempts ?? 1, error: pushError(results, error) }
  }
}

/** The same for who only wants to know what was not stored: null when everything was. */
export async function sendPushUnread(
  core: Pick<ClientCore, 'send'>,
  operation: string,
  sent: SentTexts,
  json: JsonCodec,
): Promise<PushResults | null> {
  try {
    const { body } = await post(core, operation, sent, undefined, true)
    const text = String(body)
    return allStored(sent.count, text) ? null : readResults(sent.items(), parse(json, text))
  } catch (error) {
    const results = resultsOfError(sent.items(), error)
    if (results === null) throw error
    return results
  }
}

function sentTexts(prepared: readonly PreparedItem[], items: readonly PushedItem[]): SentTexts {
  const queue = items[0]?.queue ?? null
  return {
    queue: items.every((item) => item.queue === queue) ? queue : null,
    texts: prepared.map(({ text }) => text),
    isAscii: prepared.every(({ text, bytes }) => text.length === bytes),
    count: items.length,
    items: () => items,
  }
}

function post(
  core: Pick<ClientCore, 'send'>,
  operation: string,
  { queue, texts, isAscii, count, items }: SentTexts,
  signal?: AbortSignal,
  asText = false,
): Promise<FinalAnswer> {
  return core.send({
    operation,
    method: 'POST',
    path: '/api/v1/push',
    body: { before: '{"items":[', texts, after: ']}', isAscii },
    signal,
    asText,
    destination: { type: 'send', queue, messageCount: count },
    messages: () =>
      items().map(({ transactionId, traceId }) => ({ transactionId, ...(traceId === undefined ? {} : { traceId }) })),
  })
}
