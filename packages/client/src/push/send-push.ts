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
export interface SentItem {
  readonly item: Omit<PushedItem, 'payload'>
  readonly text: string
}

/** Rejects when there is no verdict: the broker was not reached, or refused the request as such. */
export async function sendPush(
  core: Pick<ClientCore, 'send'>,
  operation: string,
  items: readonly PreparedItem[],
  signal?: AbortSignal,
): Promise<PushVerdict> {
  try {
    const { body, attempts } = await postItems(core, operation, items, signal)
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
  items: readonly SentItem[],
  json: JsonCodec,
): Promise<PushResults | null> {
  try {
    const { body } = await postItems(core, operation, items, undefined, true)
    const text = String(body)
    return allStored(items.length, text) ? null : readResults(items, parse(json, text))
  } catch (error) {
    const results = resultsOfError(items, error)
    if (results === null) throw error
    return results
  }
}

function postItems(
  core: Pick<ClientCore, 'send'>,
  operation: string,
  items: readonly SentItem[],
  signal?: AbortSignal,
  asText = false,
): Promise<FinalAnswer> {
  const queue = items[0]?.item.queue
  const oneQueue = items.every(({ item }) => item.queue === queue)
  return core.send({
    operation,
    method: 'POST',
    path: '/api/v1/push',
    body: `{"items":[${items.map(({ text }) => text).join(',')}]}`,
    signal,
    asText,
    destination: { type: 'send', queue: oneQueue ? queue : null, messageCount: items.length },
    messages: () =>
      items.map(({ item }) => ({
        transactionId: item.transactionId,
        ...(item.traceId === undefined ? {} : { traceId: item.traceId }),
      })),
  })
}
