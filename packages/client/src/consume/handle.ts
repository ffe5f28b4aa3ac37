/**
 * One call of the handler, with its callbacks, and what its end means. A handler's error is a handler's error, whatever
 * its text: it is never taken for one of the transport.
 */

import type { ClientCore } from '../client-core.ts'
import { QueenClosedError } from '../errors/classes.ts'
import { isQueenError } from '../errors/queen-error.ts'
import { tracedMessages } from '../messages/message.ts'
import type { QueueSelection } from '../messages/selection.ts'
import { messagingAttributes } from '../observe/attributes.ts'
import { runInHook } from '../observe/hooks.ts'
import type { HandlerContext } from '../types/consume.ts'
import type { Message } from '../types/message.ts'
import type { Untyped } from '../types/untyped.ts'

export type HandlerOutcome =
  | { readonly type: 'returned'; readonly verdict: 'completed' | 'none' }
  | {
      readonly type: 'threw'
      readonly verdict: 'failed' | 'retry' | 'none'
      readonly error: unknown
      readonly retryAfterMillis?: number | undefined
    }
  | { readonly type: 'fatal'; readonly error: unknown }

/** May be attached while the consumer runs; then it holds from the next message on. */
export interface ConsumerCallbacks {
  onSuccess: ((messages: Untyped, result: Untyped) => unknown) | null
  onError: ((messages: Untyped, error: Error) => unknown) | null
}

export type Handler = (messages: Untyped, context: HandlerContext) => unknown

/** Attached callbacks take the acking over from the client. */
export function acksItself(selection: QueueSelection, callbacks: ConsumerCallbacks): boolean {
  return selection.autoAck !== false && callbacks.onSuccess === null && callbacks.onError === null
}

export async function callHandler(
  core: ClientCore,
  selection: QueueSelection,
  handler: Handler,
  callbacks: ConsumerCallbacks,
  messages: readonly Message[],
  context: HandlerContext,
): Promise<HandlerOutcome> {
  const subject = selection.each ? messages[0] : [...messages]
  let error: unknown
  try {
    const result = await traced(core, selection, messages, context, async () => handler(subject, context))
    if (acksItself(selection, callbacks)) return { type: 'returned', verdict: 'completed' }
    try {
      await callbacks.onSuccess?.(subject, result)
      return { type: 'returned', verdict: 'none' }
    } catch (callbackError) {
      core.emit({ type: 'callback-error', callback: 'onSuccess', error: callbackError })
      error = callbackError
    }
  } catch (handlerError) {
    error = handlerError
  }
  core.log.error('ConsumerManager.handler', { workerId: context.workerId, count: messages.length, error })
  return outcomeOfError(core, selection, callbacks, subject, error)
}

async function outcomeOfError(
  core: ClientCore,
  selection: QueueSelection,
  callbacks: ConsumerCallbacks,
  subject: unknown,
  error: unknown,
): Promise<HandlerOutcome> {
  if (acksItself(selection, callbacks)) return autoAckOutcome(error)
  if (callbacks.onError === null) return { type: 'fatal', error }
  try {
    await callbacks.onError(subject, error instanceof Error ? error : new Error(String(error)))
    return { type: 'threw', verdict: 'none', error }
  } catch (callbackError) {
    core.emit({ type: 'callback-error', callback: 'onError', error: callbackError })
    return { type: 'fatal', error: callbackError }
  }
}

/** Queen away, or this client closing under the handler's hands, is not the message's fault: no attempt is used up. */
function autoAckOutcome(error: unknown): HandlerOutcome {
  if (isQueenError(error) && (error.retryable || error instanceof QueenClosedError)) {
    return { type: 'threw', verdict: 'retry', error, retryAfterMillis: error.retryAfterMillis }
  }
  return { type: 'threw', verdict: 'failed', error }
}

function traced<R>(
  core: ClientCore,
  selection: QueueSelection,
  messages: readonly Message[],
  { workerId }: HandlerContext,
  work: () => Promise<R>,
): Promise<R> {
  const hook = core.settings.hooks.process?.bind(core.settings.hooks)
  if (hook === undefined) return work()
  const attributes = messagingAttributes({
    type: 'process',
    queue: messages[0]?.queue ?? selection.queue,
    consumerGroup: selection.group,
    messageCount: messages.length,
  })
  const info = { workerId, attributes, messages: tracedMessages(messages) }
  return runInHook<R, void>(
    core.log,
    'process',
    (next) => hook(info, next),
    work,
    () => {},
  )
}
