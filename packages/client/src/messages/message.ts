/**
 * Turns the messages of a pop answer into what handlers get.
 *
 * Invariant: every field of the public type is there; fields the answer has besides are kept. `trace` is not
 * enumerable, so a message can be spread, compared and printed as data.
 */
import type { ClientCore } from '../client-core.ts'
import { DEFAULT_PARTITION, QUEUE_MODE_GROUP } from '../defaults.ts'
import { isRecord } from '../errors/from-answer.ts'
import type { Message } from '../types/message.ts'
import { trace } from './trace.ts'

/** The messages of an answer; `[]` for anything that is no pop answer. */
export function messagesOf<T>(core: ClientCore, answer: unknown): Message<T>[] {
  if (!isRecord(answer) || !Array.isArray(answer.messages)) return []
  const messages: Message<T>[] = []
  for (const raw of answer.messages) {
    if (isRecord(raw)) messages.push(messageOf<T>(core, raw, answer))
  }
  return messages
}

function messageOf<T>(core: ClientCore, raw: Record<string, unknown>, answer: Record<string, unknown>): Message<T> {
  const message = (isComplete(raw) ? raw : completed(raw, answer)) as unknown as Message<T>
  Object.defineProperty(message, 'trace', {
    value: (input: unknown) => trace(core, message, input),
    configurable: true,
    writable: true,
  })
  return message
}

/** A message as brokers send it needs nothing, and copying it would cost as much as parsing it. */
function isComplete(raw: Record<string, unknown>): boolean {
  return (
    typeof raw.transactionId === 'string' &&
    typeof raw.partitionId === 'string' &&
    typeof raw.partition === 'string' &&
    typeof raw.queue === 'string' &&
    typeof raw.leaseId === 'string' &&
    typeof raw.consumerGroup === 'string' &&
    typeof raw.retryCount === 'number' &&
    raw.data !== undefined &&
    raw.traceId !== undefined &&
    raw.producerSub !== undefined &&
    // A codec of the program's may give what must not be touched.
    Object.isExtensible(raw)
  )
}

function completed(raw: Record<string, unknown>, answer: Record<string, unknown>): Record<string, unknown> {
  const pick = (name: string): unknown => raw[name] ?? answer[name]
  return {
    ...raw,
    transactionId: raw.transactionId ?? raw.id,
    partitionId: pick('partitionId'),
    partition: pick('partition') ?? DEFAULT_PARTITION,
    queue: pick('queue'),
    leaseId: pick('leaseId') ?? null,
    consumerGroup: pick('consumerGroup') ?? QUEUE_MODE_GROUP,
    data: raw.data === undefined ? (raw.payload ?? null) : raw.data,
    retryCount: raw.retryCount ?? 0,
    traceId: raw.traceId ?? null,
    producerSub: raw.producerSub ?? null,
  }
}

/** What tracers get to see of messages. */
export function tracedMessages(messages: readonly Message[]) {
  return messages.map(({ id, transactionId, traceId }) => ({ id, transactionId, ...(traceId ? { traceId } : {}) }))
}
