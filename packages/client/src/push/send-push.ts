/** `POST /push` of prepared items, and the verdict on each. */
import type { ClientCore } from '../client-core.ts'
import { QueenError } from '../errors/queen-error.ts'
import type { PushResults } from '../types/push.ts'
import type { PreparedItem } from './prepare.ts'
import { pushError, readResults, resultsOfError } from './results.ts'

export interface PushVerdict {
  readonly results: PushResults
  readonly attempts: number
  /** Set when some items were refused: what a push without `onError` rejects with. */
  readonly error: QueenError | null
}

/** Rejects when there is no verdict: the broker was not reached, or refused the request as such. */
export async function sendPush(
  core: Pick<ClientCore, 'send'>,
  operation: string,
  items: readonly PreparedItem[],
  signal?: AbortSignal,
): Promise<PushVerdict> {
  const queues = new Set(items.map(({ item }) => item.queue))
  try {
    const { body, attempts } = await core.send({
      operation,
      method: 'POST',
      path: '/api/v1/push',
      body: `{"items":[${items.map(({ text }) => text).join(',')}]}`,
      signal,
      destination: { type: 'send', queue: queues.size === 1 ? [...queues][0] : null, messageCount: items.length },
      messages: () =>
        items.map(({ item }) => ({
          transactionId: item.transactionId,
          ...(item.traceId === undefined ? {} : { traceId: item.traceId }),
        })),
    })
    const results = readResults(items, body)
    return { results, attempts, error: results.counts.failed > 0 ? pushError(results) : null }
  } catch (error) {
    const results = resultsOfError(items, error)
    if (results === null || !(error instanceof QueenError)) throw error
    return { results, attempts: error.attempts ?? 1, error: pushError(results, error) }
  }
}
