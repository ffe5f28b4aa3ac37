/**
 * One pop: path, query, time-out, and what its answer means.
 *
 * A queue or partition that does not exist yet is an empty answer: a consumer may start before the first push.
 */
import type { ClientCore } from '../client-core.ts'
import { isQueenError, QueenError } from '../errors/queen-error.ts'
import type { Call, FinalAnswer } from '../transport/call.ts'
import { isoTime, query, segment } from '../transport/path.ts'
import type { Message, PopOptions } from '../types/message.ts'
import { messagesOf } from './message.ts'
import { affinityKey, assertSource, type QueueSelection } from './selection.ts'

/** What one poll asks for, on top of the selection. */
export interface PopRequest {
  readonly batch: number
  readonly wait: boolean
  /** Of the long poll. */
  readonly timeoutMillis: number
  readonly autoAck: boolean
}

export interface Popped<T> {
  readonly messages: Message<T>[]
  readonly retryAfterMillis: number | undefined
  /** How long the broker's answer says the lease has left; null when it does not say. */
  readonly leaseMillis: number | null
}

// The broker ends a long poll; the client's own time-out only catches a broker that does not.
const EXTRA_MILLIS = 5_000

export function popPath(selection: QueueSelection, request: PopRequest): string {
  const { queue, partition, namespace, task, group, partitions } = selection
  const route = !queue
    ? '/api/v1/pop'
    : `/api/v1/pop/queue/${segment(queue)}${partition === null ? '' : `/partition/${segment(partition)}`}`
  return (
    route +
    query({
      namespace: queue ? null : namespace || null,
      task: queue ? null : task || null,
      batch: request.batch,
      partitions: partitions > 1 && partition === null ? partitions : null,
      wait: request.wait,
      timeout: request.wait ? request.timeoutMillis : null,
      consumerGroup: group,
      autoAck: request.autoAck ? true : null,
      ...subscription(selection),
    })
  )
}

function subscription({ subscriptionMode, subscriptionFrom }: QueueSelection) {
  const from = subscriptionFrom === null ? null : isoTime(subscriptionFrom)
  // 'timestamp' says nothing that the time itself does not say, and without one nothing at all.
  const mode = subscriptionMode === 'new-only' ? 'new' : subscriptionMode === 'timestamp' ? null : subscriptionMode
  return { subscriptionMode: mode, subscriptionFrom: from }
}

/** One poll. Rejects on every failure but a 404. */
export async function poll<T>(
  core: ClientCore,
  selection: QueueSelection,
  request: PopRequest,
  more: Pick<Call, 'operation' | 'signal' | 'rounds'>,
): Promise<Popped<T>> {
  let answer: FinalAnswer
  try {
    answer = await core.send({
      ...more,
      method: 'GET',
      path: popPath(selection, request),
      timeoutMillis: request.wait ? request.timeoutMillis + EXTRA_MILLIS : core.settings.timeoutMillis,
      affinityKey: affinityKey(selection),
      destination: { type: 'receive', queue: selection.queue, consumerGroup: selection.group },
    })
  } catch (error) {
    if (error instanceof QueenError && error.status === 404) {
      return { messages: [], retryAfterMillis: undefined, leaseMillis: null }
    }
    throw error
  }
  return {
    messages: messagesOf<T>(core, answer.body),
    retryAfterMillis: answer.retryAfterMillis,
    leaseMillis: leaseMillis(answer),
  }
}

function leaseMillis({ body, headers }: FinalAnswer): number | null {
  const end = Date.parse(String((body as { leaseExpiresAt?: unknown } | null)?.leaseExpiresAt))
  // The broker's own clock where it tells it: this machine's may be off by more than a lease is long.
  const told = Date.parse(headers.get('date') ?? '')
  const left = end - (Number.isNaN(told) ? Date.now() : told)
  return left > 0 ? left : null
}

/** `builder.pop()`: transient failures are `[]` unless asked otherwise, as programs written for client 0.15 expect. */
export async function pop<T>(core: ClientCore, selection: QueueSelection, options: PopOptions): Promise<Message<T>[]> {
  core.lifecycle.assertOpen()
  options.signal?.throwIfAborted()
  assertSource(selection)
  const operation = 'QueueBuilder.pop'
  const request = {
    batch: selection.batch,
    wait: selection.wait,
    timeoutMillis: selection.timeoutMillis,
    autoAck: selection.autoAck === true,
  }
  try {
    const { messages } = await poll<T>(core, selection, request, { operation, signal: options.signal })
    core.log.debug(operation, { queue: selection.queue, count: messages.length })
    return messages
  } catch (error) {
    const transient = isQueenError(error) && error.retryable
    if (options.signal?.aborted || !transient) throw error
    core.log.error(operation, { queue: selection.queue, error: error.message, code: error.code })
    core.emit({ type: 'pop-failed', queue: selection.queue, error })
    if (options.throwOnError) throw error
    return []
  }
}

/** Client 0.15 ignored subscriptions without a group in silence; this says so. */
export function warnAboutSubscription(core: ClientCore, selection: QueueSelection, operation: string): void {
  const { group, subscriptionMode, subscriptionFrom } = selection
  if (group !== null || (subscriptionMode === null && subscriptionFrom === null)) return
  core.log.warn(operation, { problem: 'subscriptionMode and subscriptionFrom are ignored without group()' })
}
