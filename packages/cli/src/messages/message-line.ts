/** A message as `pop` and `tail` print it and `ack` reads it back. Pure. */
import type { Message } from '@queen/client'
import { CliError } from '../command/failure.ts'
import { losslessJson } from '../input/json.ts'
import type { Line } from '../input/lines.ts'

const QUEUE_MODE = '__QUEUE_MODE__'

export function messageLine(message: Message<unknown>): string {
  const { queue, partition, transactionId, partitionId, createdAt, retryCount, data } = message
  const line: Record<string, unknown> = { queue, partition, transactionId, partitionId, createdAt, retryCount, data }
  if (message.leaseId) line.leaseId = message.leaseId
  if (message.consumerGroup && message.consumerGroup !== QUEUE_MODE) line.consumerGroup = message.consumerGroup
  if (message.traceId) line.traceId = message.traceId
  if (message.producerSub) line.producerSub = message.producerSub
  return JSON.stringify(line)
}

export interface AckLine {
  readonly transactionId: string
  readonly partitionId: string
  readonly leaseId?: string
  readonly consumerGroup?: string
}

export function parseAckLine(line: Line, group: string | undefined): AckLine {
  const value = parseJsonLine(line)
  const { transactionId, partitionId, leaseId, consumerGroup } = (value ?? {}) as Record<string, unknown>
  if (typeof transactionId !== 'string' || typeof partitionId !== 'string') {
    throw new CliError(`line ${line.number} has no transactionId and partitionId`, { code: 'INVALID_INPUT' })
  }
  const ownGroup = group ?? (typeof consumerGroup === 'string' ? consumerGroup : undefined)
  return {
    transactionId,
    partitionId,
    ...(typeof leaseId === 'string' && leaseId !== '' ? { leaseId } : {}),
    ...(ownGroup === undefined ? {} : { consumerGroup: ownGroup }),
  }
}

export function parseJsonLine({ number, text }: Line): unknown {
  try {
    return losslessJson.parse(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError(`line ${number} is not JSON: ${why}`, { code: 'INVALID_INPUT' })
  }
}
